package host

// A Machine is what of a machine, and of this process's place on it, matters to
// a build. Its zero values mean "is not so" or "could not be read"; tests make
// one by hand, [Look] looks at the real one.
type Machine struct {
	OS     string `json:"os"`     // as Go calls it
	Arch   string `json:"arch"`   // as Go calls it
	Kernel string `json:"kernel"` // such as "6.8.0-45-generic"

	UID        int    `json:"uid"`
	User       string `json:"user,omitempty"` // empty: the id has no name
	Admin      bool   `json:"admin"`          // CAP_SYS_ADMIN is effective
	Nested     bool   `json:"nested"`         // in a user namespace that somebody made for us
	OneID      bool   `json:"oneID"`          // which maps one id
	NoNewPrivs bool   `json:"noNewPrivs"`     // set-user-id programs gain nothing
	Seccomp    int    `json:"seccomp"`        // mode in /proc/self/status: 0 none, 1 strict, 2 a filter
	AppArmor   string `json:"appArmor,omitempty"`
	Pod        *Pod   `json:"pod,omitempty"`       // nil: not in one
	Container  bool   `json:"container,omitempty"` // of Docker or Podman

	Settings map[string]string `json:"settings"` // sysctls that exist, by name: "user.max_user_namespaces"
	Userns   string            `json:"userns"`   // why no user namespace with mounts could be made; empty: one could
	UsernsNo string            `json:"usernsNo"` // the step that was refused: "clone" or "mount"
	Proc     bool              `json:"proc"`     // a /proc of one's own can be mounted

	NewUIDMap Tool     `json:"newuidmap"`
	NewGIDMap Tool     `json:"newgidmap"`
	SubUID    int64    `json:"subuid"` // how many ids /etc/subuid lends us
	SubGID    int64    `json:"subgid"`
	Git       string   `json:"git,omitempty"` // path
	Runc      string   `json:"runc"`          // "embedded", a path, or empty
	Cgroups   string   `json:"cgroups"`       // "v1", "v2", "hybrid" or empty
	Runs      []string `json:"runs"`          // foreign architectures that binfmt, or an emulator on PATH, can run
	State     Disk     `json:"state"`
	Trial     *Trial   `json:"trial,omitempty"` // nil: not tried
}

// A Tool is a program that must have a privilege.
type Tool struct {
	Path   string `json:"path,omitempty"` // empty: it is not on PATH
	SetUID bool   `json:"setuid,omitempty"`
	Caps   bool   `json:"caps,omitempty"` // it has file capabilities
	NoSUID bool   `json:"nosuid,omitempty"`
}

// A Pod is where in Kubernetes we are.
type Pod struct {
	Namespace string `json:"namespace"`
	Level     string `json:"level,omitempty"` // that pod security enforces: "privileged", "baseline" or "restricted"; empty: not known
	Why       string `json:"why,omitempty"`   // Level is not known
}

// A Disk is the file system that the state folder lies on.
type Disk struct {
	Dir        string `json:"dir"`
	Type       string `json:"type,omitempty"` // such as "ext4"; empty: not known
	Free       int64  `json:"free"`           // bytes that we may use
	Total      int64  `json:"total"`          // bytes
	FreeInodes int64  `json:"freeInodes"`     // zero with TotalInodes zero: it does not count them
	Inodes     int64  `json:"inodes"`
	Err        string `json:"err,omitempty"` // why we may not write there
}

// A Trial is a build that was tried: a command ran in a container.
type Trial struct {
	Err  string `json:"err,omitempty"`  // empty: it worked
	Cure string `json:"cure,omitempty"` // of Err, if it is known
}

package deploy

// A Job is a Kubernetes Job that runs one command to its end. Its name stands
// for its content, so that a Job that is there needs not run again.
type Job struct {
	Object      Object            // with its namespace
	Secrets     map[string]string // values of the Secret of the same name that its container reads; empty means none
	Pipeline    string
	Environment string
}

// A JobState is what the cluster knows of a Job.
type JobState struct {
	Phase       JobPhase
	NoNamespace bool // its namespace is not there, either
}

// A JobPhase is how far a Job is.
type JobPhase string

// How far a Job can be.
const (
	JobAbsent    JobPhase = ""
	JobBegun     JobPhase = "begun" // made, but not let go: its Secret may be missing
	JobRunning   JobPhase = "running"
	JobSucceeded JobPhase = "succeeded"
	JobGaveUp    JobPhase = "failed"
)

// A JobError says that a Job did not end well.
type JobError struct{ Verdict Verdict }

func (e *JobError) Error() string { return (&RolloutError{Verdicts: []Verdict{e.Verdict}}).Error() }

package deploy

import "fmt"

// A Risk is the name of what a change loses for good: no rollback brings it
// back, so a run begins only once it is approved.
type Risk string

// What can be lost.
const (
	DeleteNamespace Risk = "delete-namespace"
	DeleteVolume    Risk = "delete-volume"
	DeleteKind      Risk = "delete-kind"
)

// Risks returns the names that there are.
func Risks() []Risk { return []Risk{DeleteNamespace, DeleteVolume, DeleteKind} }

// riskOf returns the risk of deleting an object of a kind, and what is lost.
func riskOf(kind string) (risk Risk, lost string) {
	switch kind {
	case "Namespace":
		return DeleteNamespace, "all that is in it"
	case "PersistentVolumeClaim", "PersistentVolume":
		return DeleteVolume, "its data"
	case "CustomResourceDefinition":
		return DeleteKind, "all objects of its kind, in every namespace"
	}
	return "", ""
}

// A RiskError says that a change loses something, and that nobody approved it.
type RiskError struct {
	Risk   Risk
	Object string // its address; see [Object.String]
	Lost   string // what is lost with it
}

func (e *RiskError) Error() string {
	return fmt.Sprintf("%s would be deleted, and with it %s (approve that with --approve %s, or keep the object among the manifests)", e.Object, e.Lost, e.Risk)
}

// Unapproved returns a *[RiskError] for each of changes that deletes what nothing
// brings back, also to make it anew, unless its risk is approved.
func Unapproved(changes []Change, approved []Risk) []error {
	given := map[Risk]bool{}
	for _, r := range approved {
		given[r] = true
	}
	var errs []error
	for _, c := range changes {
		if c.Op != Delete && c.Op != Replace {
			continue
		}
		if risk, lost := riskOf(c.Object.Kind()); risk != "" && !given[risk] {
			errs = append(errs, &RiskError{Risk: risk, Object: c.Object.String(), Lost: lost})
		}
	}
	return errs
}

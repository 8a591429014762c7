package pipeline

// An Origin is a var and what set it.
type Origin struct {
	Var   Var
	Value any    // nil: nothing sets it
	From  string // what set it last, such as "default" or "--var"; empty if nothing did
}

// Origins returns the vars of p in the order of the file, with what set each in
// env. The error is that of [Pipeline.Resolve]; the vars that it does not name
// have their values all the same.
func (p *Pipeline) Origins(env Environment, out Outside) ([]Origin, error) {
	vals, err := p.Resolve(env, out)
	var origins []Origin
	for _, v := range p.Vars {
		o := Origin{Var: v, Value: vals[v.Name]}
		if v.Default != nil {
			o.From = "default"
		}
		if _, ok := env.Vars[v.Name]; ok {
			o.From = "environment " + env.Name
		}
		if v.Env != "" && out.Env != nil {
			if _, ok := out.Env(v.Env); ok {
				o.From = "environment variable " + v.Env
			}
		}
		if _, ok := out.Flags[v.Name]; ok {
			o.From = "--var"
		}
		origins = append(origins, o)
	}
	return origins, err
}

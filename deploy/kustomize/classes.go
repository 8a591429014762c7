package kustomize

import "slices"

// classify puts together what shares names, and finds out what each change is for.
func (t *tree) classify() map[string]*class {
	byName := map[string]*class{}
	join := func(c *class, name string) *class {
		c = c.find()
		other := byName[name]
		if other == nil {
			byName[name] = c
			return c
		}
		if other = other.find(); other != c {
			c.into = other
		}
		return other
	}
	for _, u := range t.units {
		u.class = &class{part: -1}
		for name := range u.names {
			u.class = join(u.class, name)
			if m := hashed().FindStringSubmatch(name); m != nil {
				u.class = join(u.class, m[1])
			}
		}
	}
	for _, c := range t.changes {
		var one *class // a patch of several names has to find them all
		for _, name := range c.names {
			switch {
			case byName[name] == nil:
			case one == nil:
				one = byName[name].find()
			default:
				one = join(one, name)
			}
		}
	}
	for name, c := range byName {
		c = c.find()
		byName[name] = c
		if c.names == nil {
			c.names = map[string]bool{}
		}
		c.names[name] = true
	}
	for _, u := range t.units {
		u.class = u.class.find()
		u.class.units = append(u.class.units, u)
	}
	for _, c := range t.changes {
		if c.image == nil {
			t.aim(c, byName)
		}
	}
	t.aimImages()
	return byName
}

// classOf returns the class of an object by the name that it came out with.
func classOf(byName map[string]*class, name string) *class {
	if c := byName[name]; c != nil {
		return c
	}
	if m := hashed().FindStringSubmatch(name); m != nil {
		return byName[m[1]]
	}
	return nil
}

// aim finds out which classes a patch, or a number of replicas, may change: of those
// that have something below its layer.
func (t *tree) aim(c *change, byName map[string]*class) {
	c.classes = map[*class]bool{}
	for _, name := range c.names {
		if found := byName[name]; found != nil && found.below(c.by) {
			c.classes[found] = true
		}
	}
	if c.like == nil {
		return
	}
	for _, u := range t.units {
		if c.kind != "" && !slices.Contains(u.kinds, c.kind) || c.classes[u.class] || !u.class.below(c.by) {
			continue
		}
		for name := range u.class.names {
			if c.like.MatchName(name) {
				c.classes[u.class] = true
				break
			}
		}
	}
}

// below reports whether any of the class goes through a layer.
func (c *class) below(l *layer) bool {
	return slices.ContainsFunc(c.units, func(u *unit) bool { return slices.Contains(u.above, l) })
}

// aimImages finds out which classes may have the images that are replaced. An image
// may be replaced again.
func (t *tree) aimImages() {
	having := map[string]map[*class]bool{}
	for _, c := range t.changes {
		if c.image != nil && plainImage().MatchString(c.image.Name) {
			having[repository(c.image.Name)] = map[*class]bool{}
		}
	}
	for _, u := range t.units {
		for _, word := range u.words {
			if has := having[repository(word)]; has != nil {
				has[u.class] = true
			}
		}
	}
	for _, c := range t.changes {
		for _, word := range c.words {
			if has := having[repository(word)]; has != nil {
				for class := range c.classes {
					has[class] = true
				}
			}
		}
	}
	for _, c := range t.changes { // layers come after those below them
		if c.image == nil {
			continue
		}
		if plainImage().MatchString(c.image.Name) {
			c.classes = having[repository(c.image.Name)]
		}
		has := having[repository(c.image.NewName)]
		if has == nil || c.image.NewName == "" {
			continue
		}
		for _, u := range t.units {
			if c.classes == nil || c.classes[u.class] {
				has[u.class] = true
			}
		}
	}
}

// divide makes parts of whole classes, in the order of the files, and adds to each what
// it may refer to.
func (t *tree) divide(byName map[string]*class, size int) []*part {
	var parts []*part
	for _, u := range t.units {
		if u.class.part >= 0 {
			continue
		}
		if len(parts) == 0 || parts[len(parts)-1].own >= size {
			parts = append(parts, &part{in: map[*class]bool{}})
		}
		p := parts[len(parts)-1]
		u.class.part = len(parts) - 1
		p.in[u.class] = true
		p.own += len(u.class.units)
	}
	in := map[string]map[*class]bool{} // by namespace
	for _, u := range t.units {
		for _, space := range u.spaces {
			if space == "" {
				space = "default"
			}
			if in[space] == nil {
				in[space] = map[*class]bool{}
			}
			in[space][u.class] = true
		}
	}
	for _, p := range parts {
		words, refers := t.said(p)
		for word := range words {
			if c := byName[word]; c != nil {
				p.in[c] = true
			}
		}
		for space := range refers { // where kustomize looks depends on whether anything was written with that namespace
			for c := range in[space] {
				p.in[c] = true
			}
		}
		for c := range p.in {
			p.size += len(c.units)
		}
	}
	return parts
}

// said returns all scalars that the objects of a part may have, and the namespaces
// they refer to.
func (t *tree) said(p *part) (words, refers map[string]bool) {
	words, refers = map[string]bool{}, map[string]bool{}
	layers := map[*layer]bool{}
	own := map[*class]bool{}
	for c := range p.in {
		own[c] = true
		for _, u := range c.units {
			for _, word := range u.words {
				words[word] = true
			}
			for _, space := range u.refers {
				refers[space] = true
			}
			for _, l := range u.above {
				layers[l] = true
			}
		}
	}
	for l := range layers {
		for _, word := range l.words {
			words[word] = true
		}
		for _, c := range l.changes["patches"] {
			if !c.meets(own) {
				continue
			}
			for _, word := range c.words {
				words[word] = true
			}
			for _, space := range c.refers {
				refers[space] = true
			}
		}
	}
	if len(refers) > 0 { // a layer may change them
		for l := range layers {
			refers[l.spec.Namespace] = true
		}
	}
	delete(refers, "")
	return words, refers
}

// meets reports whether a change may be for one of some classes.
func (c *change) meets(some map[*class]bool) bool {
	if c.classes == nil {
		return true
	}
	few, many := c.classes, some
	if len(few) > len(many) {
		few, many = many, few
	}
	for class := range few {
		if many[class] {
			return true
		}
	}
	return false
}

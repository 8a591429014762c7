package deploy

import "net/http"

// A Request is what an HTTP server is asked.
type Request struct {
	Method string
	URL    string // absolute, http or https
	Header http.Header
}

// An Answer is what it answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most AnswerLimit bytes of it; not trusted
}

// AnswerLimit is how many bytes of the body of an answer are read.
const AnswerLimit = 1 << 20

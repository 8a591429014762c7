package trace_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/trace"
)

// A sent is what a collector was sent.
type sent struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans map[string]*tracepb.Span
	from  map[string]string // attributes of the resource
	key   string
}

func (s *sent) take(req *collector.ExportTraceServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range req.ResourceSpans {
		for _, a := range r.Resource.Attributes {
			s.from[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range r.ScopeSpans {
			for _, span := range scope.Spans {
				s.spans[span.Name] = span
			}
		}
	}
}

// Export implements the collector's service.
func (s *sent) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.take(req)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (s *sent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err = errors.Join(err, proto.Unmarshal(text, &req)); err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	s.key = r.Header.Get("Api-Key")
	s.take(&req)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// rehearse sends the events of a run through a tracer.
func rehearse(t *testing.T) error {
	t.Helper()
	tr, err := trace.Start(t.Context(), os.LookupEnv, &pipeline.Plan{Pipeline: "shop", Environment: "staging"}, "run-7", "v1.2.3")
	if err != nil {
		return err
	}
	if tr == nil {
		t.Fatal("there is no trace")
	}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int, ev pipeline.Event) {
		ev.Time = start.Add(time.Duration(seconds) * time.Second)
		tr.Sink(ev)
	}
	at(0, pipeline.Event{Type: pipeline.EventStart, Text: "shop"})
	at(1, pipeline.Event{Type: pipeline.EventStart, Step: "web[eu]"})
	at(1, pipeline.Event{Type: pipeline.EventTask, Step: "web[eu]", Task: "RUN make"})
	at(2, pipeline.Event{Type: pipeline.EventLog, Step: "web[eu]", Text: "a line of theirs"})
	at(4, pipeline.Event{Type: pipeline.EventTask, Step: "web[eu]", Task: "RUN make", Status: pipeline.StatusOK, Elapsed: 3 * time.Second})
	at(5, pipeline.Event{Type: pipeline.EventFinish, Step: "web[eu]", Status: pipeline.StatusOK})
	at(5, pipeline.Event{Type: pipeline.EventStart, Step: "rollout"})
	at(8, pipeline.Event{Type: pipeline.EventVerdict, Step: "rollout", Task: "Deployment shop/web", Text: "exit code 3", Code: "crash-loop", File: "web.yaml", Line: 7})
	at(9, pipeline.Event{Type: pipeline.EventFinish, Step: "rollout", Status: pipeline.StatusFailed, Text: "it crashed"})
	at(9, pipeline.Event{Type: pipeline.EventFinish, Step: "smoke", Status: pipeline.StatusSkipped})
	at(9, pipeline.Event{Type: pipeline.EventFinish, Status: pipeline.StatusFailed})
	return tr.End(t.Context())
}

func TestTrace(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			got := &sent{spans: map[string]*tracepb.Span{}, from: map[string]string{}}
			endpoint := ""
			if protocol == "grpc" {
				l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				server := grpc.NewServer()
				collector.RegisterTraceServiceServer(server, got)
				go func() { _ = server.Serve(l) }()
				t.Cleanup(server.Stop)
				endpoint = "http://" + l.Addr().String()
			} else {
				server := httptest.NewServer(got)
				t.Cleanup(server.Close)
				endpoint = server.URL
			}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret")
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "team=shop")
			t.Setenv("TRACEPARENT", parent)
			if err := rehearse(t); err != nil {
				t.Fatal(err)
			}
			got.mu.Lock()
			defer got.mu.Unlock()
			run := got.spans["run shop"]
			if run == nil || len(got.spans) != 5 {
				t.Fatalf("got the spans %v", got.spans)
			}
			if id := hex(run.TraceId); id != "0af7651916cd43dd8448eb211c80319c" || hex(run.ParentSpanId) != "b7ad6b7169203331" {
				t.Errorf("the run is in trace %s, below %s", id, hex(run.ParentSpanId))
			}
			for name, above := range map[string]string{"web[eu]": "run shop", "RUN make": "web[eu]", "rollout": "run shop", "smoke": "run shop"} {
				if span := got.spans[name]; span == nil || string(span.ParentSpanId) != string(got.spans[above].SpanId) {
					t.Errorf("%s is not below %s: %v", name, above, span)
				}
			}
			if task := got.spans["RUN make"]; task.EndTimeUnixNano-task.StartTimeUnixNano != uint64(3*time.Second) || task.Status.Code != tracepb.Status_STATUS_CODE_OK {
				t.Errorf("got the task %v", task)
			}
			rollout := got.spans["rollout"]
			if rollout.Status.Code != tracepb.Status_STATUS_CODE_ERROR || rollout.Status.Message != "it crashed" || len(rollout.Events) != 1 || !strings.Contains(rollout.Events[0].String(), "crash-loop") {
				t.Errorf("got the rollout %v", rollout)
			}
			if got.from["service.name"] != "slipway" || got.from["service.version"] != "v1.2.3" || got.from["team"] != "shop" {
				t.Errorf("it comes from %v", got.from)
			}
			if protocol != "grpc" && got.key != "s3cret" {
				t.Error("the header is missing")
			}
			for _, span := range got.spans {
				if strings.Contains(span.String(), "a line of theirs") {
					t.Errorf("a log line is in %v", span)
				}
			}
		})
	}
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func TestNoTrace(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nobody asks":  {},
		"switched off": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"none":         {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
	} {
		tr, err := trace.Start(t.Context(), lookup(env), &pipeline.Plan{}, "", "")
		if tr != nil || err != nil {
			t.Errorf("%s: got %v, %v", name, tr, err)
		}
		if err := tr.End(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := trace.Start(t.Context(), lookup(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}), &pipeline.Plan{}, "", "")
	if err == nil || !strings.Contains(err.Error(), "want http/protobuf or grpc") {
		t.Errorf("got %v", err)
	}
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestNoCollector(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "go away", http.StatusForbidden) }))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	if err := rehearse(t); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v", err)
	}
}

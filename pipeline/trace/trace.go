// Package trace tells what a run did as a trace of OpenTelemetry: a span for
// the run, one for each stage, and one for each task of it.
//
// # Owns
//
// Which spans there are, and what they carry.
//
// # May touch
//
// The collector that OTEL_EXPORTER_OTLP_ENDPOINT names, and no other address.
package trace

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-ci/slipway/pipeline"
)

const (
	flushTime = 3 * time.Second // for what is not sent when the run has ended
	maxQueue  = 1 << 16         // spans that wait to be sent; more are lost
	maxName   = 200             // bytes of a span's name
)

// A Tracer makes spans of the events of one run.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	failed   lastError
	parent   context.Context // of the run's span; holds TRACEPARENT

	ctx   context.Context // of what the run does
	run   trace.Span
	attrs []attribute.KeyValue
	steps map[pipeline.ID]step
}

type step struct {
	ctx  context.Context
	span trace.Span
}

// Start returns a tracer if the environment asks for one, as OpenTelemetry says
// in https://opentelemetry.io/docs/specs/otel/protocol/exporter/: with
// OTEL_EXPORTER_OTLP_ENDPOINT, or that for traces alone. It is nil otherwise, and
// where OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER switches it off. TRACEPARENT
// makes the run a part of the trace that it names. The error says which variable is wrong.
func Start(ctx context.Context, env func(string) (string, bool), plan *pipeline.Plan, run, version string) (*Tracer, error) {
	get := func(names ...string) string {
		for _, name := range names {
			if v, _ := env(name); v != "" {
				return v
			}
		}
		return ""
	}
	if get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") == "" || strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") || get("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil //nolint:nilnil // there is no trace
	}
	var client otlptrace.Client
	switch protocol := get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol {
	case "", "http/protobuf":
		client = otlptracehttp.NewClient()
	case "grpc":
		client = otlptracegrpc.NewClient()
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %s (want http/protobuf or grpc)", protocol)
	}
	t := &Tracer{steps: map[pipeline.ID]step{}}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "slipway"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	t.provider = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(&exporter{otlptrace.NewUnstarted(client), &t.failed}, sdk.WithMaxQueueSize(maxQueue)))
	if err := client.Start(ctx); err != nil {
		return nil, err
	}
	t.tracer = t.provider.Tracer("github.com/slipway-ci/slipway")
	t.parent = propagation.TraceContext{}.Extract(context.WithoutCancel(ctx), propagation.MapCarrier{"traceparent": get("TRACEPARENT"), "tracestate": get("TRACESTATE")})
	t.attrs = []attribute.KeyValue{attribute.String("slipway.pipeline", plan.Pipeline), attribute.String("slipway.run", run)}
	if plan.Environment != "" {
		t.attrs = append(t.attrs, attribute.String("slipway.environment", plan.Environment))
	}
	return t, nil
}

// Sink is a [pipeline.Sink]. Lines that builds and programs write are no part of
// a trace. A nil tracer makes none.
func (t *Tracer) Sink(ev pipeline.Event) {
	if t == nil {
		return
	}
	at := trace.WithTimestamp(ev.Time)
	switch {
	case ev.Type == pipeline.EventStart && ev.Step == "":
		t.ctx, t.run = t.tracer.Start(t.parent, "run "+ev.Text, at, trace.WithAttributes(t.attrs...))
	case t.run == nil: // nothing has begun
	case ev.Type == pipeline.EventStart:
		ctx, span := t.tracer.Start(t.ctx, name(string(ev.Step)), at, trace.WithAttributes(attribute.String("slipway.stage", string(ev.Step.Stage()))))
		t.steps[ev.Step] = step{ctx, span}
	case ev.Type == pipeline.EventFinish && ev.Step == "":
		t.end(t.run, ev)
	case ev.Type == pipeline.EventFinish:
		s, begun := t.steps[ev.Step]
		if !begun { // such as one that was skipped
			_, s.span = t.tracer.Start(t.ctx, name(string(ev.Step)), at)
		}
		t.end(s.span, ev)
		delete(t.steps, ev.Step)
	case ev.Type == pipeline.EventTask && ev.Status != "":
		_, span := t.tracer.Start(t.under(ev.Step).ctx, name(ev.Task), trace.WithTimestamp(ev.Time.Add(-ev.Elapsed)))
		t.end(span, ev)
	case ev.Type == pipeline.EventVerdict, ev.Type == pipeline.EventRetry, ev.Type == pipeline.EventWarning:
		t.under(ev.Step).span.AddEvent(string(ev.Type), at, trace.WithAttributes(about(ev)...))
	}
}

// under returns the span of a step that runs, or that of the run.
func (t *Tracer) under(id pipeline.ID) step {
	if s, ok := t.steps[id]; ok {
		return s
	}
	return step{t.ctx, t.run}
}

// end ends a span as ev says that it did.
func (t *Tracer) end(span trace.Span, ev pipeline.Event) {
	span.SetAttributes(about(ev)...)
	switch ev.Status {
	case pipeline.StatusFailed, pipeline.StatusCanceled:
		span.SetStatus(codes.Error, ev.Text)
	case pipeline.StatusOK, pipeline.StatusReused:
		span.SetStatus(codes.Ok, "")
	}
	span.End(trace.WithTimestamp(ev.Time))
}

// about returns what an event says, but for its time.
func about(ev pipeline.Event) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	for _, a := range []struct{ key, value string }{
		{"status", string(ev.Status)}, {"code", ev.Code}, {"object", ev.Task}, {"text", ev.Text}, {"cure", ev.Cure}, {"file", ev.File},
	} {
		if a.value != "" {
			attrs = append(attrs, attribute.String("slipway."+a.key, a.value))
		}
	}
	if ev.Line > 0 {
		attrs = append(attrs, attribute.Int("slipway.line", ev.Line))
	}
	return attrs
}

// End sends what is not sent yet, for up to three seconds; a nil tracer has nothing. Its error says why
// spans are missing; it is about the last of them that could not be sent.
func (t *Tracer) End(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	if failed := t.failed.get(); failed != nil {
		err = failed
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the collector did not take it within %v", flushTime)
	}
	return err
}

// name shortens the name of a span.
func name(s string) string {
	if len(s) <= maxName {
		return s
	}
	return strings.ToValidUTF8(s[:maxName], "") + "…"
}

// exporter remembers why spans could not be sent. The SDK would print it.
type exporter struct {
	*otlptrace.Exporter
	failed *lastError
}

// ExportSpans implements [sdk.SpanExporter].
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.Exporter.ExportSpans(ctx, spans); err != nil {
		e.failed.set(err)
	}
	return nil
}

type lastError struct {
	mu  sync.Mutex
	err error
}

func (l *lastError) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lastError) get() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

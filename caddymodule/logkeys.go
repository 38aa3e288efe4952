package caddymodule

// This file keeps API keys out of Caddy's logs. Clients put keys where they do not belong: into the
// query, the path, a cookie or a header such as X-Api-Key. Caddy's access log shows the request as
// it came, before any handler, so no handler can cut such a key.
//
// Caddy has no hook for that. So, while a configuration is provisioned, keepKeysOutOfLogs puts a
// writer that cuts keys between the encoders and the writers of the configuration's logs, and gives
// the HTTP servers loggers over them. It works on the encoded line, and so on every field, format
// and filter. Three kinds of private fields of Caddy are replaced to that end: CustomLog.core,
// App.logger and the loggers of Server. Provisioning is done by one goroutine and before any server
// runs, so nothing reads them meanwhile. If a version of Caddy has other fields, nothing is
// replaced and one warning names the documents that say what to configure instead.
//
// Not covered are logs of a core module of their own, debug lines of handlers that Caddy
// provisioned before the first handler of this program, and the log of admin requests.

import (
	"io"
	"reflect"
	"sync"
	"unsafe"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/redact"
)

// keyCutter is the writer of a log that cuts API keys to their hints.
type keyCutter struct{ io.WriteCloser }

// Write implements io.Writer.
func (k keyCutter) Write(p []byte) (int, error) {
	if _, err := k.WriteCloser.Write(redact.Bytes(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

var warnOfKeysInLogs sync.Once

// keepKeysOutOfLogs cuts API keys in the logs of ctx's configuration, unless it logs credentials.
// The context is that of a handler.
func keepKeysOutOfLogs(ctx caddy.Context) {
	if !cutKeysInLogs(ctx) {
		warnOfKeysInLogs.Do(func() {
			ctx.Slogger().Warn("this version of Caddy does not let API keys be cut in its logs; " +
				"a key that a client puts into a URL or a header shows there " +
				"(config/docs/security.md has filters for 'format')")
		})
	}
}

// cutKeysInLogs does that, and reports whether it worked.
func cutKeysInLogs(ctx caddy.Context) bool {
	modules := ctx.Modules()
	if len(modules) == 0 {
		return true
	}
	app, ok := modules[0].(*caddyhttp.App)
	if !ok {
		return true // a handler outside of the http app serves no requests
	}
	for _, server := range app.Servers {
		if server.Logs != nil && server.Logs.ShouldLogCredentials {
			return true
		}
	}
	config := privateField[*caddy.Config](&ctx, "cfg")
	if config == nil || *config == nil || (*config).Logging == nil {
		return false
	}
	for _, log := range (*config).Logging.Logs {
		if !cutKeysIn(log) {
			return false
		}
	}
	return replaceLoggers(ctx, app)
}

// cutKeysIn gives a log a core that cuts keys.
func cutKeysIn(log *caddy.CustomLog) bool {
	core := privateField[zapcore.Core](&log.BaseLog, "core")
	encoder := privateField[zapcore.Encoder](&log.BaseLog, "encoder")
	writer := privateField[io.WriteCloser](&log.BaseLog, "writer")
	level := privateField[zapcore.LevelEnabler](&log.BaseLog, "levelEnabler")
	if core == nil || encoder == nil || writer == nil || level == nil {
		return false
	}
	if *encoder == nil || reflect.TypeOf(*core) == reflect.TypeOf(zapcore.NewNopCore()) {
		return true // it writes nothing
	}
	if _, done := (*writer).(keyCutter); done {
		return true
	}
	*writer = keyCutter{*writer}
	fresh := zapcore.NewCore(*encoder, zapcore.AddSync(*writer), *level)
	if s := log.Sampling; s != nil { // Caddy has put the defaults in place
		fresh = zapcore.NewSamplerWithOptions(fresh, s.Interval, s.First, s.Thereafter)
	}
	// The log has a core module, too.
	if tee := reflect.ValueOf(*core); tee.Kind() == reflect.Slice {
		cores := []zapcore.Core{fresh}
		for i := 1; i < tee.Len(); i++ {
			cores = append(cores, tee.Index(i).Interface().(zapcore.Core))
		}
		fresh = zapcore.NewTee(cores...)
	}
	*core = fresh
	return true
}

// replaceLoggers gives the app and its servers loggers over the cores that cut keys.
func replaceLoggers(ctx caddy.Context, app *caddyhttp.App) bool {
	fresh := ctx.Logger(app)
	logger := privateField[*zap.Logger](app, "logger")
	if logger == nil {
		return false
	}
	*logger = fresh
	for _, server := range app.Servers {
		for field, name := range map[string]string{
			"logger": "log", "accessLogger": "log.access", "errorLogger": "log.error", "traceLogger": "log.trace",
		} {
			logger := privateField[*zap.Logger](server, field)
			if logger == nil {
				return false
			}
			if *logger != nil { // nil: not provisioned yet, or no such log
				*logger = fresh.Named(name)
			}
		}
	}
	return true
}

// privateField returns a pointer to a field of *object, or nil if there is no field of that name
// and type.
func privateField[T, S any](object *S, name string) *T {
	field := reflect.ValueOf(object).Elem().FieldByName(name)
	if !field.IsValid() || field.Type() != reflect.TypeFor[T]() {
		return nil
	}
	return (*T)(unsafe.Pointer(field.UnsafeAddr()))
}

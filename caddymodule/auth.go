package caddymodule

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth"
)

// Auth admits requests with a valid API key, in `Authorization: Bearer tenzo_pk_…` or as the bare
// value of that header. It counts the usage of the key, and sets `X-Tenzo-Org-Id` and
// `X-Tenzo-Key-Id` for the upstream. Every `X-Tenzo-*` header of the client is removed.
//
// Admitted requests set these placeholders:
//
// Placeholder | Description
// ------------|---------------
// `{http.auth.user.id}` | The id of the key
// `{http.auth.user.org_id}` | The organization that the key belongs to
// `{http.auth.user.key_name}` | The name of the key
//
// Refused requests set `{http.vars.tenzo_refusal}` to the code of the refusal, such as
// `revoked_api_key`. With `pass_errors`, error routes can distinguish refusals by it.
type Auth struct {
	// The realm of the challenge in `WWW-Authenticate`. Default: `Tenzo Public API`.
	Realm string `json:"realm,omitempty"`

	// Forward the client's `Authorization` header to the upstream instead of removing it. Default:
	// false.
	ForwardAuthorization bool `json:"forward_authorization,omitempty"`

	// Leave the body of refusals to the site's error routes (`handle_errors`); status and headers
	// stay the same. Default: false; this handler writes them as `application/problem+json`.
	PassErrors bool `json:"pass_errors,omitempty"`

	auth  *keyauth.Auth
	begin func() error // of the app
}

// Names of request variables.
const (
	varByKey   = "tenzo_by_key"  // true if an API key admitted the request
	varRefusal = "tenzo_refusal" // the code of the refusal, if it was refused
)

// CaddyModule returns the Caddy module information.
func (Auth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: idAuth, New: func() caddy.Module { return new(Auth) }}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Every line is optional. Syntax:
//
//	tenzo_auth [<matcher>] {
//	    realm <realm>
//	    forward_authorization
//	    pass_errors
//	}
func (a *Auth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("tenzo_auth takes no arguments except a matcher")
	}
	return parseBlock(d, "tenzo_auth", []subdirective{
		text("realm", &a.Realm),
		flag("forward_authorization", &a.ForwardAuthorization),
		flag("pass_errors", &a.PassErrors),
	})
}

// Provision gets the key verification of this configuration's app.
func (a *Auth) Provision(ctx caddy.Context) error {
	app, err := appOf(ctx)
	if err != nil {
		return err
	}
	a.auth, a.begin = app.runtime.Auth(), app.begin
	if a.Realm == "" {
		a.Realm = keyauth.DefaultRealm
	}
	keepKeysOutOfLogs(ctx)
	app.warnOfForgedAddresses(ctx)
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It removes the identity headers of the client
// before it decides, so that an error route cannot forward them either.
func (a *Auth) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	ctx := r.Context()
	values := r.Header["Authorization"]
	vars, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	clientIP, _ := vars[caddyhttp.ClientIPVarKey].(string)
	credentials := stripAllCredentials
	if a.ForwardAuthorization {
		credentials = stripNoCredentials
	}
	place, hint := "", ""
	// Before headers are removed.
	if len(values) == 0 || len(values) == 1 && strings.Trim(values[0], " ") == "" {
		place, hint, _ = misplacedKey(r)
	}
	stripIdentity(r, credentials)

	_ = a.begin() // without Redis, Authenticate refuses with a reason
	verdict := a.auth.Authenticate(ctx, values, clientIP)
	if verdict.Refusal != nil {
		if place != "" {
			verdict.Refusal = keyauth.RefuseMisplaced(place)
			verdict.Subject = &keyauth.Subject{Hint: hint}
		}
		return a.refuse(w, r, verdict)
	}
	key := (*identity)(verdict.Key)
	headers := []string{key.OrgID, key.KeyID}
	r.Header[headerOrgID] = headers[0:1:1]
	r.Header[headerKeyID] = headers[1:2:2]
	if vars != nil {
		vars[varByKey] = true
	}
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", key.KeyID) // replaces the value of an earlier handler
		repl.Map(key.placeholder)
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(key))
	}
	return next.ServeHTTP(w, r)
}

// identity shows the key of a request to placeholders and the access log.
type identity keyauth.Record

// placeholder resolves the placeholders that only this handler sets.
func (i *identity) placeholder(name string) (any, bool) {
	switch name {
	case "http.auth.user.org_id":
		return i.OrgID, true
	case "http.auth.user.key_name":
		return i.Name, true
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (i *identity) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("key_id", i.KeyID)
	enc.AddString("org_id", i.OrgID)
	return nil
}

// refuse answers a refused request, or leaves that to the site's error routes, and sees to it that
// the answer arrives although the request's body is not read.
func (a *Auth) refuse(w http.ResponseWriter, r *http.Request, verdict keyauth.Verdict) error {
	refusal := verdict.Refusal
	caddyhttp.SetVar(r.Context(), varRefusal, refusal.Code)
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(refused(verdict)))
	}
	body := unreadBodyOf(w, r)
	if a.PassErrors {
		refusal.SetHeaders(w.Header(), a.Realm)
		body.discardBeforeAnswer()
		return caddyhttp.Error(refusal.Status, errors.New(refusal.Detail))
	}
	keyauth.WriteRefusal(w, r, refusal, a.Realm)
	body.discardAfterAnswer()
	return nil
}

// refused is a refused request as the access log shows it.
type refused keyauth.Verdict

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (f refused) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("refusal", f.Refusal.Code)
	if f.Subject == nil {
		return nil
	}
	for _, field := range []struct{ name, value string }{
		{"key_id", f.Subject.KeyID}, {"org_id", f.Subject.OrgID}, {"hint", f.Subject.Hint},
	} {
		if field.value != "" {
			enc.AddString(field.name, field.value)
		}
	}
	return nil
}

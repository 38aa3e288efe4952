package keyauth

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// This file holds what a refused client reads: statuses, codes, challenges and problem bodies
// (specification.md, section 5).

// The codes of refusals.
const (
	codeMissing     = "missing_api_key"
	codeInvalid     = "invalid_request"
	codeMalformed   = "malformed_api_key"
	codeUnknown     = "unknown_api_key"
	codeRevoked     = "revoked_api_key"
	codeExpired     = "expired_api_key"
	codeTooMany     = "too_many_unknown_keys"
	codeUnavailable = "key_store_unavailable"
	codeBadRecord   = "invalid_key_record"
)

// DefaultRealm is the realm of the challenge if none is configured.
const DefaultRealm = "Tenzo Public API"

// Refusal is why a request is not admitted. It can be shown to the client.
type Refusal struct {
	Status int
	Code   string
	// Fit for an error_description (RFC 6750): visible ASCII without " and \.
	Detail     string
	RetryAfter time.Duration // zero: no Retry-After

	challenge string // the error of the challenge, or challengeBare or challengeNone
}

// The challenges, and the errors of RFC 6750 in them.
const (
	challengeNone = "none" // no challenge
	challengeBare = ""     // a challenge without an error (RFC 6750, section 3.1)
	invalidToken  = "invalid_token"
	invalidReq    = "invalid_request"
)

// SetHeaders sets the headers of the refusal, independent of its body: Cache-Control,
// WWW-Authenticate and Retry-After.
func (f *Refusal) SetHeaders(h http.Header, realm string) {
	h.Set("Cache-Control", "no-store")
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	if f.challenge == challengeNone {
		return
	}
	c := `Bearer realm="` + quote(realm) + `"`
	if f.challenge != challengeBare {
		c += `, error="` + f.challenge + `", error_description="` + f.Detail + `"`
	}
	h.Set("WWW-Authenticate", c)
}

// WriteRefusal answers r with the refusal as a problem (RFC 9457): status, headers, and a body
// unless the method is HEAD.
func WriteRefusal(w http.ResponseWriter, r *http.Request, f *Refusal, realm string) {
	f.SetHeaders(w.Header(), realm)
	problem.Write(w, r, &problem.Error{Status: f.Status, Code: f.Code, Detail: f.Detail})
}

// quote makes s fit for a quoted-string (RFC 9110, section 5.6.4). Control characters, which no
// header may carry, become spaces.
func quote(s string) string {
	if s == "" {
		s = DefaultRealm
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s))
}

func unauthorized(code, challenge, detail string) *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Code: code, Detail: detail, challenge: challenge}
}

func invalid(detail string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: codeInvalid, Detail: detail, challenge: invalidReq}
}

func malformed(detail string) *Refusal { return unauthorized(codeMalformed, invalidToken, detail) }

// The refusals. They are shared by all requests and never change.
var (
	refuseMissing  = unauthorized(codeMissing, challengeBare, "This API needs a key: send the header Authorization: Bearer tenzo_pk_...")
	refuseRepeated = invalid("The request carries more than one Authorization header; send exactly one.")
	refuseBytes    = invalid("The Authorization header holds bytes other than visible ASCII characters and spaces, such as a tab, a line break or an accented letter.")

	malformedScheme    = malformed("The Authorization header uses another scheme; send Authorization: Bearer tenzo_pk_...")
	malformedEmpty     = malformed("No key follows the scheme Bearer; perhaps the variable that should hold it is empty.")
	malformedTwice     = malformed("The scheme Bearer stands twice before the key; send it once.")
	malformedPrefix    = malformed("The key does not begin with the prefix tenzo_pk_; either it was cut at the front or it is no Tenzo API key.")
	malformedCase      = malformed("The prefix of the key must be tenzo_pk_ in lower case, and the rest exactly as it was shown.")
	malformedShort     = malformed("The key is cut short: at least 16 characters must follow the prefix tenzo_pk_.")
	malformedLong      = malformed("The key is too long: at most 200 characters may follow the prefix tenzo_pk_.")
	malformedCharacter = malformed("The key holds a character that does not belong; only letters, digits, underscore and hyphen do, without quotes or spaces.")
	malformedList      = malformed("The Authorization header holds a comma, which does not belong; send exactly one key.")
	malformedChecksum  = malformed("The checksum of the key is wrong, so it looks mistyped or cut; copy it again as a whole.")

	refuseUnknown  = unauthorized(codeUnknown, invalidToken, "There is no such API key.")
	refuseMistyped = unauthorized(codeUnknown, invalidToken, "There is no such API key; it looks mistyped, for its checksum is wrong. Copy it again as a whole.")
	refuseRevoked  = unauthorized(codeRevoked, invalidToken, "This API key was revoked; make a new one.")
	refuseExpired  = unauthorized(codeExpired, invalidToken, "This API key has expired; make a new one.")

	refuseUnavailable = &Refusal{
		Status: http.StatusServiceUnavailable, Code: codeUnavailable, RetryAfter: time.Second, challenge: challengeNone,
		Detail: "API keys cannot be checked at the moment; this says nothing about the key. Try again shortly.",
	}
	refuseBadRecord = &Refusal{
		Status: http.StatusServiceUnavailable, Code: codeBadRecord, challenge: challengeNone,
		Detail: "What is stored about this API key is damaged; tell the operator of this API.",
	}
)

// RefuseMisplaced returns the refusal of a request without credentials that carries a key
// elsewhere. The place completes "a key was seen in", in visible ASCII without quotes and
// backslashes.
func RefuseMisplaced(place string) *Refusal {
	return unauthorized(codeMissing, challengeBare, "A key was seen in "+place+", where it does not count and others may log it. "+
		"Send the header Authorization: Bearer tenzo_pk_... instead, and replace that key.")
}

// refuseTooMany returns the refusal of a client that sent too many unknown keys, which says when it
// may try again.
func refuseTooMany(wait time.Duration) *Refusal {
	return &Refusal{
		Status: http.StatusTooManyRequests, Code: codeTooMany, RetryAfter: max(wait, time.Second), challenge: challengeNone,
		Detail: "Too many unknown API keys came from this address; keys in use are not affected. Wait, then try again.",
	}
}

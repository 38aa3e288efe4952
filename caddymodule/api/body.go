package api

// This file reads request bodies and query parameters, and writes answers.

import (
	stdjson "encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// The maximum sizes of bodies.
const (
	maxBody = 64 << 10
	// Far above max_payload: a payload above that becomes a dead letter with its reason.
	maxEventBody = 16 << 20
)

// optional is an optional member of a JSON object. It distinguishes null from absent.
type optional[T any] struct {
	set   bool
	null  bool
	value T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	o.set = true
	o.null = dec.PeekKind() == 'n'
	return json.UnmarshalDecode(dec, &o.value)
}

// pointer returns nil if the member is absent, and an error if it is null. field is its name.
func (o optional[T]) pointer(field string) (*T, error) {
	if !o.set {
		return nil, nil
	}
	if o.null {
		return nil, problem.Invalid(field, "invalid_value", field+" cannot be null")
	}
	return &o.value, nil
}

// readBody decodes the body into v. The body must be one JSON object of at most limit bytes in
// valid UTF-8, without unknown or duplicate members.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return &problem.Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "the body must be sent with Content-Type: application/json"}
	}
	if err := decodeObject(jsontext.NewDecoder(http.MaxBytesReader(w, r.Body, limit)), v); err != nil {
		return bodyError(err)
	}
	return nil
}

var errNotObject = errors.New("not one JSON object")

// decodeObject decodes one JSON object and requires the end of the input after it. It checks the
// kind first, because null would decode as an empty object.
func decodeObject(dec *jsontext.Decoder, v any) error {
	if kind := dec.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return errNotObject
	}
	if err := json.UnmarshalDecode(dec, v, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	switch _, err := dec.ReadToken(); {
	case err == nil:
		return errNotObject
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// bodyError says what is wrong with a body, without repeating its content.
func bodyError(err error) error {
	var (
		tooLarge *http.MaxBytesError
		syntax   *jsontext.SyntacticError
		semantic *json.SemanticError
	)
	bad := func(code, field, detail string) error {
		return &problem.Error{Status: http.StatusBadRequest, Code: code, Field: field, Detail: detail}
	}
	switch {
	case errors.As(err, &tooLarge):
		return &problem.Error{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Detail: "the body is larger than " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes"}
	case errors.Is(err, json.ErrUnknownName) && errors.As(err, &semantic):
		field := fieldOf(semantic.JSONPointer)
		return bad("unknown_member", field, "unknown member")
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return bad("duplicate_member", fieldOf(syntax.JSONPointer), "duplicate member in one object")
	case errors.Is(err, errNotObject):
		return bad("invalid_json", "", "the body must be one JSON object")
	case errors.As(err, &semantic):
		field := fieldOf(semantic.JSONPointer)
		return problem.Invalid(field, "invalid_type", field+" has the wrong JSON type")
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return bad("invalid_json", "", "the body is empty")
	default:
		return bad("invalid_json", "", "the body is not valid JSON")
	}
}

// fieldOf returns the name of the top-level member in a JSON pointer.
func fieldOf(p jsontext.Pointer) string {
	for token := range p.Tokens() {
		if r := []rune(token); len(r) > 100 {
			return string(r[:100])
		}
		return token
	}
	return ""
}

// paging reads the query parameters `limit` (0 if absent) and `cursor`. The services validate them.
func paging(r *http.Request) (limit int, cursor string, err error) {
	query := r.URL.Query()
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit == 0 {
			return 0, "", config.ErrInvalidLimit
		}
	}
	return limit, query.Get("cursor"), nil
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := stdjson.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have gone away
	return nil
}

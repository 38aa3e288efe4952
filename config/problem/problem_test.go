package problem

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		problem *Error
		want    string
	}{
		{
			&Error{Status: http.StatusUnprocessableEntity, Code: "invalid_name", Detail: "say <more>", Field: "name"},
			`{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"say \u003cmore\u003e","code":"invalid_name","field":"name"}`,
		},
		{&Error{Status: http.StatusNotFound, Code: "not_found", Detail: "gone"}, `{"type":"about:blank","title":"Not Found","status":404,"detail":"gone","code":"not_found"}`},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			w := httptest.NewRecorder()
			Write(w, httptest.NewRequest(method, "/", nil), c.problem)
			want := c.want + "\n"
			if method == http.MethodHead {
				want = ""
			}
			if w.Code != c.problem.Status || w.Body.String() != want {
				t.Errorf("%s: %d %s, want %d %s", method, w.Code, w.Body, c.problem.Status, want)
			}
			for name, value := range map[string]string{
				"Cache-Control": "no-store", "Content-Type": "application/problem+json", "Content-Length": strconv.Itoa(len(c.want) + 1),
				"X-Content-Type-Options": "nosniff",
			} {
				if got := w.Header().Get(name); got != value {
					t.Errorf("%s: %s is %q, want %q", method, name, got, value)
				}
			}
		}
	}
}

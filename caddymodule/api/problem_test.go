package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// If announcing a revocation fails in a Cluster, the client learns that the key is revoked but not
// announced; the cause goes to the log.
func TestRevokedButNotAnnounced(t *testing.T) {
	c := harness.StartCluster(t)
	c.Mark(t)
	st, err := store.Open(store.Options{URL: c.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	keys := apikey.NewService(st)
	made, err := keys.Create(t.Context(), "acme", apikey.Params{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Client().Del(t.Context(), st.Names().Changes()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := st.Client().Set(t.Context(), st.Names().Changes(), "no stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	a := New(Services{Keys: keys, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	w := httptest.NewRecorder()
	a.ServeOrganization(w, httptest.NewRequest(http.MethodDelete, "/keys/"+made.ID, nil), "acme", "keys/"+made.ID)
	var got struct{ Code, Detail string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusServiceUnavailable || got.Code != "change_not_announced" || !strings.Contains(got.Detail, "is revoked") || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %+v %v", w.Code, got, w.Header())
	}
	if strings.Contains(w.Body.String(), "WRONGTYPE") || !strings.Contains(log.String(), "WRONGTYPE") {
		t.Errorf("the answer: %s\nthe log: %s", w.Body, &log)
	}
}

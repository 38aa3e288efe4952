package devtools

// This file serves the page and its static files.

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"path"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
)

//go:embed page.html assets
var embedded embed.FS

// file is a static file of the page.
type file struct {
	body      []byte
	mediaType string
	etag      string
}

// files are the static files, by their path relative to the page.
var files = loadFiles()

// page is the template of the page. It contains the data of caller and site; the page fetches all
// other data from the API.
var page = template.Must(template.ParseFS(embedded, "page.html"))

func loadFiles() map[string]file {
	out := map[string]file{}
	entries, err := embedded.ReadDir("assets")
	if err != nil {
		panic(fmt.Errorf("reading the embedded files: %w", err))
	}
	for _, e := range entries {
		name := path.Join("assets", e.Name())
		body, err := embedded.ReadFile(name)
		if err != nil {
			panic(fmt.Errorf("reading the embedded files: %w", err))
		}
		sum := sha256.Sum256(body)
		out[name] = file{body: body, mediaType: mediaType(name), etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return out
}

// mediaType knows the types of the files itself, because the tables of a machine may be wrong and
// browsers refuse wrong types with nosniff.
func mediaType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

// serve answers with the file. Browsers revalidate it at each use, so that they use a new release
// at once.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", "private, no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

// servePage answers with the page.
func (h *Handler) servePage(w http.ResponseWriter, org string) {
	events := h.Events
	if len(events) == 0 {
		events = payload.Events()
	}
	var b bytes.Buffer
	if err := page.Execute(&b, map[string]any{"Org": org, "SourceAddresses": h.SourceAddresses, "Events": events}); err != nil {
		panic(fmt.Errorf("making the page: %w", err)) // a template of strings, written to memory
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(b.Bytes()) // the client may have gone away
}

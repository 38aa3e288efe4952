package command

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
)

// output is the standard output of a command. It keeps the first error and fails from then on, so
// that a command that prints a lot has to check only once.
type output struct {
	io.Writer
	err error
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (n int, err error) {
	if o.err == nil {
		n, o.err = o.Writer.Write(b)
	}
	return n, o.err
}

// watchOutput makes cmd keep the first error of its standard output.
func watchOutput(cmd *cobra.Command) *output {
	o := &output{Writer: cmd.OutOrStdout()}
	cmd.SetOut(o)
	return o
}

// printJSON prints v as one JSON object on a line of its own.
func printJSON(cmd *cobra.Command, v any) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// items is the JSON form of a list.
type items[T any] struct {
	Items []T `json:"items"`
}

// printItems prints a list as JSON. of converts each item to its JSON form.
func printItems[T, V any](cmd *cobra.Command, list []T, of func(T) V) error {
	return printJSON(cmd, items[V]{apimodel.ItemsOf(list, of)})
}

// style is the style of a cell on a terminal; other outputs are plain.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// cell is one cell of a table.
type cell struct {
	text  string
	style style
}

// table has headings and rows; print makes its columns as wide as their longest cell.
type table struct {
	headings []string
	rows     [][]cell
	right    map[int]bool // right-aligned columns, of numbers
}

func (t *table) add(row ...cell) { t.rows = append(t.rows, row) }

// print writes the table, with styles if w is a terminal.
func (t *table) print(w io.Writer) error {
	styled := isTerminal(w)
	widths := make([]int, len(t.headings))
	heading := make([]cell, len(t.headings))
	for i, h := range t.headings {
		heading[i] = cell{h, bold}
		widths[i] = uniseg.StringWidth(h)
	}
	for _, row := range t.rows {
		for i := range row {
			row[i].text = printable(row[i].text)
			widths[i] = max(widths[i], uniseg.StringWidth(row[i].text))
		}
	}
	var out strings.Builder
	for _, row := range append([][]cell{heading}, t.rows...) {
		cells := make([]string, len(row))
		for i, c := range row {
			pad := strings.Repeat(" ", widths[i]-uniseg.StringWidth(c.text))
			shown := c.text
			if styled {
				shown = c.style.on(shown)
			}
			if t.right[i] {
				cells[i] = pad + shown
			} else {
				cells[i] = shown + pad
			}
		}
		out.WriteString(strings.TrimRight(strings.Join(cells, "  "), " ") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (s style) on(text string) string {
	if s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// paint styles text if w is a terminal.
func paint(w io.Writer, s style, text string) string {
	if !isTerminal(w) {
		return text
	}
	return s.on(text)
}

// isTerminal reports whether w shows styles and progress: a terminal whose user did not ask for
// plain text (NO_COLOR).
func isTerminal(w io.Writer) bool {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == ""
}

// printable replaces characters that would move the cursor or hide text, because other programs may
// have written the records.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// fields prints pairs of name and value, one pair a line, with aligned values.
func fields(w io.Writer, pairs ...[2]string) {
	width := 0
	for _, p := range pairs {
		width = max(width, uniseg.StringWidth(p[0]))
	}
	for _, p := range pairs {
		fmt.Fprintf(w, "%s%s  %s\n", paint(w, dim, p[0]), strings.Repeat(" ", width-uniseg.StringWidth(p[0])), printable(p[1]))
	}
}

// formatTime formats a time for people, in UTC like all times in Redis. absent replaces the zero
// time.
func formatTime(t time.Time, absent string) string {
	if t.IsZero() {
		return absent
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// formatElapsed rounds d to a multiple of unit. A shorter one, 0 too, is less than the unit, since
// "0s" reads as if nothing had happened.
func formatElapsed(d, unit time.Duration) string {
	if d < unit {
		return "<" + unit.String()
	}
	return d.Round(unit).String()
}

// relativeTime says roughly how long before now t was. absent replaces the zero time.
func relativeTime(t, now time.Time, absent string) string {
	if t.IsZero() {
		return absent
	}
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// maxInput bounds what is read from a file or standard input; a payload is far smaller.
const maxInput = 16 << 20

// readSource reads `-`, standard input, or else a file.
func readSource(stdin io.Reader, source string) ([]byte, error) {
	r := stdin
	if source != "-" {
		file, err := os.Open(source)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		r = file
	}
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxInput {
		return nil, fmt.Errorf("%s is larger than %s", source, humanize.IBytes(maxInput))
	}
	return data, nil
}

// readSecret reads a secret given as @file or, with -, from standard input. One trailing newline is dropped.
func readSecret(stdin io.Reader, flag, value string) (string, error) {
	path, isFile := strings.CutPrefix(value, "@")
	if !isFile && value != "-" {
		return "", fmt.Errorf("%s takes @file, or - for standard input: a secret given as a value would show in every process list", flag)
	}
	if !isFile {
		path = "-"
	}
	data, err := readSource(stdin, path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if secret == "" {
		return "", fmt.Errorf("%s: it is empty; --no-secret removes a secret", flag)
	}
	return secret, nil
}

// The types below are flags whose values pflag does not know.

// spanFlag is a time span.
type spanFlag time.Duration

func (f *spanFlag) Set(s string) error {
	d, err := config.ParseDuration(s)
	*f = spanFlag(d)
	return err
}
func (f *spanFlag) String() string { return formatSpan(time.Duration(*f)) }
func (*spanFlag) Type() string     { return "duration" }

// formatSpan writes a span as config.ParseDuration reads it, whole days as days.
func formatSpan(d time.Duration) string {
	if day := 24 * time.Hour; d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}

// spansFlag is a list of time spans.
type spansFlag []time.Duration

func (f *spansFlag) Set(s string) error {
	var spans []time.Duration
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		d, err := config.ParseDuration(word)
		if err != nil {
			return err
		}
		spans = append(spans, d)
	}
	if spans == nil {
		return errors.New("no time span stands there")
	}
	*f = spans
	return nil
}

func (f *spansFlag) String() string {
	words := make([]string, len(*f))
	for i, d := range *f {
		words[i] = d.String()
	}
	return strings.Join(words, ",")
}
func (*spansFlag) Type() string { return "durations" }

// sizeFlag is a number of bytes.
type sizeFlag int64

func (f *sizeFlag) Set(s string) error {
	n, err := dispatcher.ParseSize(s)
	*f = sizeFlag(n)
	return err
}

func (f *sizeFlag) String() string { return strings.ReplaceAll(humanize.IBytes(uint64(*f)), " ", "") }
func (*sizeFlag) Type() string     { return "size" }

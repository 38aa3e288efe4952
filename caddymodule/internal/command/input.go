package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// maxInput bounds how much is read from a file or standard input. Payloads are far smaller.
const maxInput = 16 << 20

// readSource reads a file, or standard input if source is `-`.
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
		return nil, fmt.Errorf("%s is larger than %s", source, dispatcher.FormatSize(maxInput))
	}
	return data, nil
}

// readSecret reads a secret from @file or, with -, from standard input. It drops one trailing
// newline.
func readSecret(stdin io.Reader, flag, value string) (string, error) {
	path, isFile := strings.CutPrefix(value, "@")
	if !isFile && value != "-" {
		return "", fmt.Errorf("%s must be @file, or - for standard input: a secret as a value would show in every process list", flag)
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
		return "", fmt.Errorf("%s: the secret is empty; use --no-secret to remove a secret", flag)
	}
	return secret, nil
}

// The types below implement pflag.Value for values that pflag cannot parse.

// durationFlag is a duration, which may be in days or weeks.
type durationFlag time.Duration

func (f *durationFlag) Set(s string) error {
	d, err := config.ParseDuration(s)
	*f = durationFlag(d)
	return err
}
func (f *durationFlag) String() string { return formatDuration(time.Duration(*f)) }
func (*durationFlag) Type() string     { return "duration" }

// formatDuration writes a span as config.ParseDuration reads it, whole days as days.
func formatDuration(d time.Duration) string {
	if day := 24 * time.Hour; d > 0 && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}

// durationsFlag is a list of durations.
type durationsFlag []time.Duration

func (f *durationsFlag) Set(s string) error {
	var durations []time.Duration
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		d, err := config.ParseDuration(word)
		if err != nil {
			return err
		}
		durations = append(durations, d)
	}
	if durations == nil {
		return errors.New("no duration given")
	}
	*f = durations
	return nil
}

func (f *durationsFlag) String() string {
	words := make([]string, len(*f))
	for i, d := range *f {
		words[i] = d.String()
	}
	return strings.Join(words, ",")
}
func (*durationsFlag) Type() string { return "durations" }

// sizeFlag is a number of bytes.
type sizeFlag int64

func (f *sizeFlag) Set(s string) error {
	n, err := dispatcher.ParseSize(s)
	*f = sizeFlag(n)
	return err
}

func (f *sizeFlag) String() string { return dispatcher.FormatSize(int64(*f)) }
func (*sizeFlag) Type() string     { return "size" }

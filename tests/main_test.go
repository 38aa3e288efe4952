package tests

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs six tests at once unless -parallel says otherwise, because most of them spend their
// time waiting. Tests that measure, or that load the machine, do not call t.Parallel.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

package tests

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at countDuplicates than there are processors, unless told otherwise: most of them wait for something most of the time.
// Those that measure, or load the machine, do not call t.Parallel.
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

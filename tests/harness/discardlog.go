package harness

import (
	"io"
	"log"
)

// discardLog drops net/http's messages about connections that a test breaks on purpose.
var discardLog = log.New(io.Discard, "", 0)

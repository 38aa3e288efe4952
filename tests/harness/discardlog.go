package harness

import (
	"io"
	"log"
)

// discardLog drops what net/http says of connections that a test breaks on purpose.
var discardLog = log.New(io.Discard, "", 0)

package harness

import (
	"io"
	"log"
)

// quiet drops what net/http says of connections that a test breaks on purpose.
var quiet = log.New(io.Discard, "", 0)

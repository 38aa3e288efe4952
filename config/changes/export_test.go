package changes

import "time"

// SetBlock makes the polls of a follower shorter. It must be called before Run.
func (f *Follower) SetBlock(d time.Duration) { f.block = d }

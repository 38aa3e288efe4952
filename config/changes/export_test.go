package changes

import "time"

// SetBlock makes the turns of a follower shorter, before Run.
func (f *Follower) SetBlock(d time.Duration) { f.block = d }

package dispatcher

import "context"

// retaken is an event that Redis gave us again while it still stands in memory: its last step was made and let go of it, but the
// committer has not had the answer yet, or is about to make the step again because the answer was lost. Made again, it moves the event
// away from under whatever was begun meanwhile, so nothing is begun: the event is given back once the step is out of the way.
type retaken struct {
	entry string
	known *job // what stands in memory
}

// giveRetaken gives back what was taken too early and whose step is out of the way. Where the step moved it away after all, that changes
// nothing; what was taken once more is held for its new job. Only the intake may call it, which is the only one to take anything, or
// whoever comes after it.
func (s *session) giveRetaken(ctx context.Context) error {
	if len(s.retaken) == 0 {
		return nil
	}
	var early, gone []retaken
	var entries []string
	for _, r := range s.retaken {
		switch s.board.job(r.entry) {
		case r.known:
			early = append(early, r)
		case nil:
			gone = append(gone, r)
			entries = append(entries, r.entry)
		}
	}
	s.retaken = early
	if len(gone) == 0 {
		return nil
	}
	if err := s.process.Requeue(ctx, entries); err != nil {
		s.retaken = append(early, gone...)
		return err
	}
	s.dueIn(0)
	return nil
}

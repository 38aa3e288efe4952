package queue

import "context"

// AuditResult is what an audit found.
type AuditResult struct {
	ForeignReads   int             // entries that foreign clients read in our group, recovered
	Rejected       []RejectedEvent // those of them that were finished at once
	GroupRecreated bool            // entries were in no place, so the group was created again
}

// Audit finds and repairs what only foreign clients can cause: entries that they read in our group,
// and entries that are in no place.
func (q *Queue) Audit(ctx context.Context) (AuditResult, error) {
	r, err := q.run(ctx, auditScript, "", 100)
	m, err := decodeReply(r, err, 3)
	if err != nil {
		return AuditResult{}, err
	}
	return AuditResult{
		ForeignReads: int(num(m[0])), GroupRecreated: str(m[1]) == "1", Rejected: parseRejected(m[2]),
	}, nil
}

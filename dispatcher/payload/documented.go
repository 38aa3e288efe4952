package payload

// The table below is the customers' documentation: what it does not show does not leave. The words that describe a member:
//
//	scalar       a string, number, boolean or null; an object or array in its place makes the payload invalid
//	whole        leaves as published, whatever stands in it
//	wholeObject  leaves as published; anything but an object or null makes the payload invalid
//	members      an object of which these members leave
//	list         an array of such objects
//	never        does not leave, and no option can let it: internal notes and the people behind a transcript
//
// null counts as absent everywhere but as an element of a list.
var documented = map[string]members{
	InterviewResults: {
		"event":                    scalar,
		"application_remote_id":    whole,
		"candidate_name":           whole,
		"candidate_phone":          whole,
		"candidate_email":          whole,
		"call_id":                  whole,
		"job_name":                 whole,
		"call_duration":            whole,
		"tenzo_interview_url":      whole,
		"question_completion_rate": whole,
		"overall_grade":            whole,
		"call_summary":             whole,
		"question_results":         whole,
		"call_transcript":          whole,
		"sms_transcript":           whole,
		"recording_url":            whole,
	},
	NoteFinalized: {
		"event":     scalar,
		"orgId":     scalar,
		"noteId":    scalar,
		"timestamp": scalar,
		"meeting": members{
			"type":      scalar,
			"url":       scalar,
			"startTime": scalar,
			"attendees": list{
				"email": scalar,
				"name":  scalar,
			},
			"organizerEmail": scalar,
		},
		"candidateId": scalar,
		"jobId":       scalar,
		"remoteJobId": scalar,
		"notes": members{
			"annotations": never,
			"sections": list{
				"key":   scalar,
				"title": scalar,
				"questions": list{
					"key":         scalar,
					"question":    scalar,
					"answered":    scalar,
					"response":    scalar,
					"suggested":   scalar,
					"annotations": never,
				},
			},
		},
		"transcript": list{
			"type":     scalar,
			"start_ts": scalar,
			"end_ts":   scalar,
			"content":  scalar,
			"role":     scalar,
			"email":    never,
			"id":       never,
		},
		"summary":                scalar,
		"extractedJobData":       wholeObject,
		"extractedCandidateData": wholeObject,
	},
}

// The documented events.
const (
	InterviewResults = "interview.results"
	NoteFinalized    = "note.finalized"
)

// shape is what the documentation says of a member.
type shape interface{ isShape() }

type (
	word    uint8
	members map[string]shape
	list    map[string]shape
)

func (word) isShape()    {}
func (members) isShape() {}
func (list) isShape()    {}

const (
	scalar word = iota
	whole
	wholeObject
	never
)

package payload

// The table below is the customers' documentation: a member that it does not have does not leave.
// The words that describe a member:
//
//	scalar     a string, number, boolean or null; with an object or array, the payload is invalid
//	raw        leaves as published, whatever its value
//	rawObject  leaves as published; with anything but an object or null, the payload is invalid
//	members    an object of which these members leave
//	list       an array of such objects
//	private    does not leave, and no option can let it leave: internal notes, and the people
//	           behind a transcript
//
// null counts as absent everywhere except as an element of a list. Every event has `event` and its
// checks of the organization without a row here (commonRules).
var documented = map[string]members{
	InterviewResults: {
		"event":                    scalar,
		"application_remote_id":    raw,
		"candidate_name":           raw,
		"candidate_phone":          raw,
		"candidate_email":          raw,
		"call_id":                  raw,
		"job_name":                 raw,
		"call_duration":            raw,
		"tenzo_interview_url":      raw,
		"question_completion_rate": raw,
		"overall_grade":            raw,
		"call_summary":             raw,
		"question_results":         raw,
		"call_transcript":          raw,
		"sms_transcript":           raw,
		"recording_url":            raw,
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
			"annotations": private,
			"sections": list{
				"key":   scalar,
				"title": scalar,
				"questions": list{
					"key":         scalar,
					"question":    scalar,
					"answered":    scalar,
					"response":    scalar,
					"suggested":   scalar,
					"annotations": private,
				},
			},
		},
		"transcript": list{
			"type":     scalar,
			"start_ts": scalar,
			"end_ts":   scalar,
			"content":  scalar,
			"role":     scalar,
			"email":    private,
			"id":       private,
		},
		"summary":                scalar,
		"extractedJobData":       rawObject,
		"extractedCandidateData": rawObject,
	},
}

// The documented events.
const (
	InterviewResults = "interview.results"
	NoteFinalized    = "note.finalized"
)

// shape is the documented shape of a member.
type shape interface{ isShape() }

type (
	leaf    uint8
	members map[string]shape
	list    map[string]shape
)

func (leaf) isShape()    {}
func (members) isShape() {}
func (list) isShape()    {}

const (
	scalar leaf = iota
	raw
	rawObject
	private
)

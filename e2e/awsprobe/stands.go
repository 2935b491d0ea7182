package awsprobe

// Stand is where the list runs.
type Stand string

// Stands with known failings.
const (
	Fake    Stand = "fake"    // package awsfake
	Moto    Stand = "moto"    // 5.2.1
	Account Stand = "account" // of AWS
)

// Known are the checks that a stand is known to fail, with the reason. The one of an account is from the
// documentation: nobody has run the list against one yet.
func Known(s Stand) map[string]string {
	switch s {
	case Fake:
		return knownOfFake()
	case Moto:
		return knownOfMoto()
	case Account:
		return knownOfAccount()
	}
	return nil
}

func knownOfFake() map[string]string {
	const noBus = "EventBridge is not modelled: a test puts the envelope into the queue"
	return map[string]string{
		"events: a rule delivers an event to a queue":               noBus,
		"events: a delivered event tells its account":               noBus,
		"events: a rule delivers an ECS event":                      noBus,
		"events: a rule leaves out what its pattern does not match": noBus,
		"events: a pattern reaches into a list of objects":          noBus,
		"events: a disabled rule delivers nothing":                  noBus,
	}
}

func knownOfMoto() map[string]string {
	const noTasks = "RunTask wants registered instances, and its answer does not decode"
	return map[string]string{
		"ecs: a task that is run can be described and listed":                       noTasks,
		"ecs: the same client token gives the same task":                            noTasks,
		"ecs: the same client token for another request is a conflict":              noTasks,
		"ecs: more than ten tasks at once are refused":                              noTasks,
		"ecs: stopping a task keeps the reason, and stopping again changes nothing": noTasks,
		"ecs: a stopped task is listed as stopped only, pending lists nothing":      noTasks,
		"ecs: stopping an unknown task is refused":                                  "answers 500",
		"ecs: an unknown task is a failure, MISSING":                                "tells no failures",
		"ecs: a task of another cluster is refused":                                 "tells no failures",
		"ecs: more than 100 tasks, and none, are refused":                           "has no limits",
		"ecs: more than 10 services are refused":                                    "has no limits",
		"ecs: services come in pages of ten":                                        "has no pages",
		"ecs: a page of more than 100, and a made-up token, are refused":            "has no pages",
		"ecs: listing the tasks of an unknown service is refused":                   "does not look at the service",

		"sqs: an earlier receive's handle deletes nothing":          "it deletes",
		"sqs: the visibility of a visible message can't be changed": "it can",
		"sqs: a moved message tells which queue it comes from":      "it does not",
		"sqs: purging again within a minute is refused":             "it purges",
		"sqs: an unknown attribute is refused":                      "does not check",
		"sqs: an attribute out of its range is refused":             "does not check",
		"sqs: control characters are refused":                       "does not check",
		"sqs: a queue is not found by the URL of another region":    "looks at the name only",

		"sts: what is no role is refused":                   "does not check",
		"sts: a session of less than 15 minutes is refused": "does not check",

		"sns: a subject of two lines is refused":       "does not check",
		"sns: an empty attribute is refused":           "with another code",
		"sns: a batch has a verdict for each entry":    "does not check",
		"sns: a batch above 256 KiB in all is refused": "does not check",

		"events: a delivered event tells its account":      "its envelopes have no account",
		"events: a pattern reaches into a list of objects": "does not match",
		"events: a disabled rule delivers nothing":         "delivers",
	}
}

func knownOfAccount() map[string]string {
	const noCapacity = "the list's cluster has no capacity, so that nothing is run at your cost"
	return map[string]string{
		"ecs: a task that is run can be described and listed":                       noCapacity,
		"ecs: the same client token gives the same task":                            noCapacity,
		"ecs: the same client token for another request is a conflict":              noCapacity,
		"ecs: stopping a task keeps the reason, and stopping again changes nothing": noCapacity,
		"ecs: a stopped task is listed as stopped only, pending lists nothing":      noCapacity,
		"events: a rule delivers an ECS event":                                      "AWS takes the source aws.ecs from ECS only",
	}
}

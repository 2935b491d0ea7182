// Package awsfake is a stand-in for AWS and says so: nothing here is Amazon's, and no answer of it proves
// that AWS answers the same. It is one account in one region, in this process, behind real HTTP on
// loopback, spoken to by the SDK's real clients. Answers are written by the SDK's own codec from the
// SDK's own types, so that they decode as AWS's do.
//
// It models SQS, the ECS API, and of STS and SNS what the program calls, from these documents: the API
// references of SQS 2012-11-05, ECS 2014-11-13, STS 2011-06-15 and SNS 2010-03-31, the models that the
// SDK for Go is generated from (names, required fields, error codes and their statuses), "Amazon SQS message
// quotas", "Request throttling for the Amazon ECS API" and "Amazon ECS task lifecycle". It refuses more than
// any emulator does: a missing field, a page over the limit, a key of the wrong region, a receipt handle that
// never was.
//
// Known to differ from AWS: signatures are read, not verified; policies of queues and roles are stored, not
// applied; a standard queue keeps the order of arrival and delivers once per visibility timeout, unless a test
// sends shuffled or twice; services start no tasks of their own accord; EventBridge is a function call
// (EmitTaskEvent). What a test can't learn from it, throttles without a cause, lost answers, denied calls, is
// what package awsproxy in front of it is for.
//
// Everything may be called from any goroutine. A fault of a test's own request comes back as the error that
// AWS documents for it; nothing is retried or hidden.
package awsfake

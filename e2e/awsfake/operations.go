package awsfake

import "maps"

// operations are all that is modelled, by service and name.
func operations() map[string]operation {
	all := sqsOperations()
	maps.Copy(all, ecsOperations())
	return all
}

// Topic is a topic of SNS.
type Topic struct{}

package awsfake

import "maps"

// operations are all that is modelled, by service and name.
func operations() map[string]operation {
	all := sqsOperations()
	maps.Copy(all, ecsOperations())
	maps.Copy(all, ecsMakers())
	maps.Copy(all, stsOperations())
	maps.Copy(all, snsOperations())
	return all
}

package cause

// names is what a user's rows see.
type names struct{}

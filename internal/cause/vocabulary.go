package cause

import "regexp"

// phrase is something that a text may say, by its place in vocabulary.
type phrase int

// The phrases, in the order of the rows that ask for them.
const (
	spotWords phrase = iota
	hostWords
	deregisterWords
	maintenanceWords
	elbWords
	containerWords
	scalingWords
	byUserWords
	pullWords
	missingWords
	deniedWords
	rateWords
	networkWords
	diskWords
	initWords
	loginWords
	secretWords
	noSecretWords
	fetchWords
	notFoundWords
	pullAuthWords
	initNoVolume
	loggedWords
	loggerWords
	noVolumeWords
	volumeWords
	mountWords
	interfaceWords
	internalWords
	capacityWords
	runWords
	archWords
	commandWords
	runtimeWords
	dependsWords
	memoryWords
	startWords
	emptyWords
	phraseCount
)

// A text keeps in a word of 64 bits what it says.
const _ = uint(64 - phraseCount)

// words say a phrase. All that is set must be so of one text in lower case.
type words struct {
	means string         // for people
	any   []string       // one of these is in it
	re    *regexp.Regexp // it matches; any keeps most texts away from it
	not   []string       // none of these is in it
}

// vocabulary is what ECS, its agent and Fargate say. A bare "ENI" would be found in "denied".
var vocabulary = [phraseCount]words{
	spotWords:        {means: `"Spot Task was interrupted" or SpotInterruptionError`, any: []string{"spot task was interrupted", "spotinterruptionerror"}},
	hostWords:        {means: `"Host EC2 (instance …) stopped" or "terminated"`, any: []string{"host ec2"}, re: regexp.MustCompile(`host ec2 \(instance .*\) ?\(?(stopped|terminated)`)},
	deregisterWords:  {means: `"deregistration forced by user"`, any: []string{"deregistration forced by user"}},
	maintenanceWords: {means: `"performing maintenance on the underlying infrastructure"`, any: []string{"performing maintenance on the underlying infrastructure"}},
	elbWords:         {means: `"failed ELB health checks" or the like of VPC Lattice`, any: []string{"health check"}, re: regexp.MustCompile(`failed .*\b(elb|lattice|target group)\b.*health check`)},
	containerWords:   {means: `"failed container health checks"`, any: []string{"failed container health checks"}},
	scalingWords:     {means: `"Scaling activity initiated by" at its beginning`, re: regexp.MustCompile(`^scaling activity initiated by`)},
	byUserWords:      {means: `"Task stopped by user"`, any: []string{"task stopped by user"}},
	pullWords:        {means: "Cannot…Pull… and not ResourceInitializationError", any: []string{"pull"}, re: regexp.MustCompile(`cannot\w{0,30}pull`), not: []string{"resourceinitializationerror"}},
	missingWords:     {means: `"not found", "manifest unknown" or "does not exist"`, any: []string{"not found", "manifest unknown", "does not exist"}},
	deniedWords:      {means: `"denied", "not authorized", "no basic auth", 401 or 403`, any: []string{"denied", "authorized", "no basic auth", "401", "403", "cannotpullcontainerautherror"}, re: regexp.MustCompile(`denied|not authorized|unauthorized|no basic auth|(^|[ "(=])40[13]($|[ ",.):;])|cannotpullcontainerautherror`)},
	rateWords:        {means: `"toomanyrequests" or "pull rate limit"`, any: []string{"toomanyrequests", "pull rate limit", "429 too many requests"}},
	networkWords:     {means: `a timeout, a cancelled request, "dial tcp", "no route", "connection issue" or the like`, any: unreachable},
	diskWords:        {means: `"no space left on device", "devicemapper" or "thin pool"`, any: []string{"no space left on device", "devicemapper", "devmapper", "thin pool"}},
	initWords:        {means: "ResourceInitializationError", any: []string{"resourceinitializationerror"}},
	loginWords:       {means: "that the registry's login was asked for", any: []string{"retrieve ecr registry auth", "retrieve registry auth", "ecr:getauthorizationtoken"}},
	secretWords:      {means: `"secret" or "ssm"`, any: []string{"secret", "ssm"}},
	noSecretWords:    {means: `ResourceNotFound, AccessDenied, "can't find", "invalid parameters", a missing key or KMS`, any: []string{"resourcenotfound", "accessdenied", "access denied", "not authorized", "can't find", "invalid parameters", "invalid ssm parameters", "parameternotfound", "did not contain json key", "kms"}},
	fetchWords:       {means: `"Fetching secret data from", and no timeout`, any: []string{"fetching secret data from"}, not: unreachable},
	notFoundWords:    {means: "ResourceNotFoundException at its beginning", re: regexp.MustCompile(`^resourcenotfoundexception`)},
	pullAuthWords:    {means: `"unable to pull secrets or registry auth"`, any: []string{"pull secrets or registry auth", "unable to retrieve secret", "fetching secret data from"}},
	initNoVolume:     {means: `ResourceInitializationError or "Fetching secret data from", and nothing of volumes or network interfaces`, any: []string{"resourceinitializationerror", "fetching secret data from"}, not: []string{"efs utils", "efs volume", "mount", "network interface"}},
	loggedWords:      {means: "ResourceInitializationError or Cannot(Start|Create)Container", any: []string{"resourceinitializationerror", "cannotstartcontainer", "cannotcreatecontainer"}},
	loggerWords:      {means: `"logger args", "log group", "log stream" or "log driver"`, any: []string{"logger args", "log group", "log stream", "log driver", "logging driver"}},
	noVolumeWords:    {means: `CannotCreateVolumeError or "EphemeralStorage provisioning"`, any: []string{"cannotcreatevolume", "ephemeralstorage provisioning"}},
	volumeWords:      {means: "EFS, a mount or a volume", any: []string{"efs", "mount", "volume"}, re: regexp.MustCompile(`\b(efs|mount\w*|volumes?)\b`)},
	mountWords:       {means: "that a volume could not be mounted", any: []string{"volumedriver", "mounting volume", "failed to mount local volume"}},
	interfaceWords:   {means: `"network interface" or "unused device index"`, any: []string{"network interface", "unused device index"}},
	internalWords:    {means: "InternalError at its beginning", re: regexp.MustCompile(`^internalerror\b`)},
	capacityWords:    {means: `RESOURCE:…, AGENT, "capacity" or "not compatible with the selected compute"`, any: []string{"resource:", "agent", "capacity", "selected compute", "unable to place"}, re: regexp.MustCompile(`\bresource:\w|(^|: )agent$|\bcapacity\b|not compatible with the selected compute|unable to place`)},
	runWords:         {means: "CannotStartContainer or CannotCreateContainer", any: []string{"cannotstartcontainer", "cannotcreatecontainer"}},
	archWords:        {means: `"exec format error"`, any: []string{"exec format"}},
	commandWords:     {means: `"executable file not found", "permission denied" or "no such file or directory"`, any: []string{"executable file not found", "permission denied", "no such file or directory"}},
	runtimeWords:     {means: "CannotInspectContainer, ContainerRuntime…, DockerTimeout, DockerState or ContainerNetworking", any: []string{"cannotinspectcontainer", "containerruntime", "dockertimeout", "dockerstate", "containernetworking"}},
	dependsWords:     {means: `TaskDependencyError or "dependency"`, any: []string{"dependenc"}, re: regexp.MustCompile(`taskdependencyerror|\bdependenc(y|ies)\b`)},
	memoryWords:      {means: "OutOfMemory", any: []string{"outofmemory", "killed due to memory usage"}},
	startWords:       {means: `"Task failed to start"`, any: []string{"task failed to start", "taskfailedtostart"}},
	emptyWords:       {means: "nothing", any: []string{"essential container in task exited", "task failed to start", "taskfailedtostart"}, re: regexp.MustCompile(`^.{0,40}$`)},
}

// unreachable are the words of networks that lead nowhere.
var unreachable = []string{
	"timeout", "timed out", "request canceled", "context canceled", "context deadline", "dial tcp", "no route", "no such host",
	"connection refused", "connection reset", "network is unreachable", "connection issue", "check your task network",
}

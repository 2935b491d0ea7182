package cause_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/bellbuoy/bellbuoy/internal/cause"
)

// texts are reasons as AWS's troubleshooting pages and the agent's source have them, with made-up names.
func texts() map[string]string {
	return map[string]string{
		`CannotPullContainerError: API error (404): repository shop/web not found`:                                                                                                      "start.image.notfound",
		`CannotPullContainerError: Error response from daemon: API error (403): no permission`:                                                                                          "start.image.auth",
		`CannotPullContainerError: The task can't pull the image. Check that the role has the permissions to pull images from the registry. Error response from daemon: denied`:         "start.image.auth",
		`CannotPullContainerError: The task cannot pull shop/web:7 from the registry registry.example. There is a connection issue between the task and the registry.`:                  "start.image.network",
		`CannotPullContainerError: inspect image has been retried 1 time(s): failed to resolve ref "docker.io/shop/web:7": failed to do request: Head https://x: dial tcp: i/o timeout`: "start.image.network",
		`CannotPullContainerError: Error response from daemon: Get https://x/v2/: net/http: TLS handshake timeout`:                                                                      "start.image.network",
		`CannotPullContainerError: context canceled`:                                                        "start.image.network",
		`CannotPullContainerError: Error response from daemon: devmapper: Thin Pool has 4 free data blocks`: "start.image.disk",
		`CannotPullImageManifestError: Error response from daemon: manifest unknown`:                        "start.image.notfound",
		`CannotPullContainerError: no matching manifest for linux/arm64/v8 in the manifest list entries`:    "start.image.other",
		`ResourceInitializationError: unable to pull secrets or registry auth: The task can't retrieve the secret with ARN 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:db' from AWS Secrets Manager. There is a connection issue between the task and AWS Secrets Manager.`: "start.secrets.network",
		`ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain json key password`:                                                                                           "start.secrets",
		`ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret from asm: AccessDeniedException: Access to KMS is not allowed`:                                                                                                               "start.secrets",
		`ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: Failed to resolve "fs-1.efs.eu-west-1.amazonaws.com"`:                                                                                                                        "start.volume",
		`ResourceInitializationError: failed to validate logger args: : signal: killed`:                                                                                                                                                                                               "start.logging",
		`CannotCreateVolumeError: Get http://plugin.sock/VolumeDriver.Create: context deadline exceeded`:                                                                                                                                                                              "start.volume",
		`Timeout waiting for EphemeralStorage provisioning to complete.`:                                                                                                                                                                                                              "start.volume",
		`Encountered unexpected error while attempting to find unused device index`:                                                                                                                                                                                                   "start.network",
		`Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet 'subnet-1': InsufficientFreeAddressesInSubnet`:                                                                                                                 "start.network",
		`TaskFailedToStart: RESOURCE:MEMORY`:                                      "start.capacity",
		`The requested configuration is not compatible with the selected compute`: "start.capacity",
		`ContainerRuntimeError: failed to create container runtime task: failed to create shim task: OCI runtime create failed: exec: "serve": executable file not found in $PATH`: "start.runtime",
		`CannotStartContainerError: ResourceInitializationError: failed to create new container runtime task: exec: "serve": permission denied: unknown`:                           "start.runtime",
		`CannotInspectContainerError: Could not transition to inspecting; timed out after waiting 30s`:                                                                             "start.runtime",
		`ContainerNetworkingError: failed to setup network namespace`:                                                                                                              "start.runtime",
		`DockerStateError: Could not create container: name is in use`:                                                                                                             "start.runtime",
		`dependency graph: failed to resolve container ordering dependency [db] for target [web] as dependency did not exit successfully.`:                                         "start.dependency",
		`ECS was unable to assume the role that was provided for this task.`:                                                                                                       "start.unknown",
		`ResourceInitializationError: failed to download env files: file download command: non empty error stream`:                                                                 "start.unknown",
		`OutOfMemoryError: container killed due to memory usage`:                                                                                                                   "oom",
	}
}

// TestTexts has each text in the place of Fargate and in that of EC2.
func TestTexts(t *testing.T) {
	t.Parallel()
	for reason, class := range texts() {
		for _, e := range []cause.Evidence{fargate(reason), pull(reason), with(pull(reason), func(e *cause.Evidence) { e.StopCode = "" })} {
			got := cause.ECS().Classify(e)
			assert.Equal(t, class, got.Class, reason)
			assert.False(t, got.Expected, reason)
			assert.Less(t, len(got.Say), 360, reason)
		}
	}
}

// TestTimeIsBounded gives each phrase's words many times over; no input may take long.
func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	e := task("", strings.Repeat("host ec2 (instance ) cannot pull denied 401 health check failed ", 1000))
	for range 200 {
		for reason := range texts() {
			e.Parts = append(e.Parts, part("web", nil, strings.Repeat("mount resource: dependenc "+lowerHalf(reason), 200)))
		}
	}
	begin := time.Now()
	got := cause.ECS().Classify(e)
	assert.NotEmpty(t, got.Class)
	assert.Less(t, time.Since(begin), 5*time.Second, "%d containers", len(e.Parts))
	assert.Less(t, len(got.Evidence), 20)
}

func lowerHalf(s string) string { return strings.ToLower(s[:len(s)/2]) }

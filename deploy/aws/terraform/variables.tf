# One variable for each parameter of the template, which says what is allowed; and the name and tags of the stack.

variable "stack_name" {
  description = "Name of the CloudFormation stack."
  type        = string
  default     = "bellbuoy-ecs"
}

variable "tags" {
  description = "Tags of the stack and of all that it makes."
  type        = map(string)
  default     = {}
}

variable "prefix" {
  description = "Starts the name of everything that this stack makes."
  type        = string
  default     = "bellbuoy"
}

variable "cluster_arns" {
  description = "ARNs of the clusters that the collector may list and the restart handler may touch; * is allowed in them."
  type        = list(string)
  default     = ["arn:*:ecs:*:*:cluster/*"]
}

variable "container_instance_events" {
  description = "Which container instance state changes are taken. leaving are those of an instance that drains, deregisters or is gone; all has several an hour from each healthy instance."
  type        = string
  default     = "leaving"
}

variable "api_call_events" {
  description = "Whether calls that stop tasks are taken, to tell who stopped one. Needs a CloudTrail trail in this account."
  type        = bool
  default     = true
}

variable "other_sources" {
  description = "Sources of events beside aws.ecs; empty for none."
  type        = list(string)
  default = [
    "aws.codedeploy",
    "aws.ec2",
    "aws.ecr",
    "aws.health",
  ]
}

variable "other_detail_types" {
  description = "The detail-types that are taken from these sources."
  type        = list(string)
  default = [
    "AWS Health Event",
    "CodeDeploy Deployment State-change Notification",
    "EC2 Instance Rebalance Recommendation",
    "EC2 Spot Instance Interruption Warning",
    "ECR Image Action",
    "ECR Image Scan",
  ]
}

variable "runner_arn" {
  description = "ARN of the role or user that Bellbuoy runs as, on EKS, EC2 or outside of AWS. Empty makes a role for ECS tasks."
  type        = string
  default     = ""
}

variable "member_role_arns" {
  description = "ARNs of collector roles in other accounts and regions that Bellbuoy may take, such as arn:aws:iam::*:role/bellbuoy-collector-*. Only for the role that this stack makes."
  type        = list(string)
  default     = []
}

variable "domain_arn" {
  description = "ARN of the OpenSearch Service domain to write to; empty makes no role for it."
  type        = string
  default     = ""
}

variable "index_prefix" {
  description = "The prefix of the index names, as in the config."
  type        = string
  default     = "bellbuoy"
}

variable "restart" {
  description = "off makes no role for the restart handler. tasks lets it stop tasks that carry the tag bellbuoy:restart = enabled; services also lets it force a new deployment of services that carry it."
  type        = string
  default     = "off"
}

variable "restart_families" {
  description = "ARNs of task definitions that the restart handler may run again, such as arn:aws:ecs:eu-west-1:123456789012:task-definition/nightly-report:*; empty for none."
  type        = list(string)
  default     = []
}

variable "restart_pass_role_arns" {
  description = "ARNs of the task roles and task execution roles of these task definitions."
  type        = list(string)
  default     = []
}

variable "kms_key" {
  description = "Empty encrypts the queues with keys of SQS; create makes a key of your own for queues and topic; or the ARN of one whose policy has the statements in README.md."
  type        = string
  default     = ""
}

variable "max_age_seconds" {
  description = "The age of the oldest waiting event above which the collector counts as absent."
  type        = number
  default     = 300
}

# What goes into the config of Bellbuoy; null where the stack has none of it.

output "queue_url" {
  description = "collectors: ecs: queue_url"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "QueueUrl", null)
}

output "collector_role_arn" {
  description = "collectors: ecs: role_arn"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "CollectorRoleArn", null)
}

output "topic_arn" {
  description = "sinks: sns: topic_arn"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "TopicArn", null)
}

output "alert_sink_role_arn" {
  description = "sinks: sns: role_arn"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "AlertSinkRoleArn", null)
}

output "indexer_role_arn" {
  description = "sinks: opensearch: role_arn"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "IndexerRoleArn", null)
}

output "restart_role_arn" {
  description = "The role of the restart handler"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "RestartRoleArn", null)
}

output "runner_role_arn" {
  description = "The task role of Bellbuoy"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "RunnerRoleArn", null)
}

output "redrive_queue_url" {
  description = "Events that the collector received too often"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "RedriveQueueUrl", null)
}

output "undelivered_queue_url" {
  description = "Events that a rule could not put into the queue"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "UndeliveredQueueUrl", null)
}

output "key_arn" {
  description = "The key of queues and topic"
  value       = lookup(aws_cloudformation_stack.bellbuoy.outputs, "KeyArn", null)
}

# The template is the source; this only hands it over. A change of it shows in a plan as one of template_body, and
# CloudFormation's change sets show the rest.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

resource "aws_cloudformation_stack" "bellbuoy" {
  name          = var.stack_name
  template_body = file("${path.module}/../bellbuoy-ecs.cfn.yaml")
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  tags          = var.tags

  parameters = {
    Prefix                  = var.prefix
    ClusterArns             = join(",", var.cluster_arns)
    ContainerInstanceEvents = var.container_instance_events
    ApiCallEvents           = tostring(var.api_call_events)
    OtherSources            = join(",", var.other_sources)
    OtherDetailTypes        = join(",", var.other_detail_types)
    RunnerArn               = var.runner_arn
    MemberRoleArns          = join(",", var.member_role_arns)
    DomainArn               = var.domain_arn
    IndexPrefix             = var.index_prefix
    Restart                 = var.restart
    RestartFamilies         = join(",", var.restart_families)
    RestartPassRoleArns     = join(",", var.restart_pass_role_arns)
    KmsKey                  = var.kms_key
    MaxAgeSeconds           = var.max_age_seconds
  }
}

"""Addresses of the console."""

from django.urls import path

from keystead.server.console import groups, invitations, members, policies, provisioning, views, workloads

urlpatterns = [
    path("", views.overview, name="overview"),
    path("setup", views.setup, name="setup"),
    path("keys", views.keys, name="keys"),
    path("keys/<str:key_id>/revoke", views.revoke_key, name="revoke_key"),
    path("members", members.overview, name="members"),
    path("members/invitations", invitations.overview, name="invitations"),
    path("members/invitations/<str:invitation_id>/renew", invitations.renew, name="invitation_renew"),
    path("members/invitations/<str:invitation_id>/revoke", invitations.revoke, name="invitation_revoke"),
    path("groups", groups.overview, name="groups"),
    path("groups/<str:group_id>", groups.group, name="group"),
    path("groups/<str:group_id>/members", groups.add, name="group_add"),
    path("groups/<str:group_id>/members/<str:member_id>/remove", groups.take_out, name="group_take_out"),
    path("groups/<str:group_id>/remove", groups.remove, name="group_remove"),
    path("invitation", invitations.enter, name="invitation"),
    path("invitation/accept", invitations.accept, name="invitation_accept"),
    path("members/<str:member_id>", members.member, name="member"),
    path("members/<str:member_id>/end", members.end, name="member_end"),
    path("members/<str:member_id>/bring-back", members.bring_back, name="member_bring_back"),
    path("usage", views.usage, name="usage"),
    path("workloads", workloads.overview, name="workloads"),
    path("workloads/test", workloads.test, name="workload_test"),
    path("workloads/<str:kind>/new", workloads.create, name="workload_new"),
    path("workloads/rules/<str:rule_id>", workloads.rule, name="workload_rule"),
    path("workloads/<str:kind>/<str:row_id>/disable", workloads.disable, name="workload_disable"),
    path("policies", policies.overview, name="policies"),
    path("policies/new", policies.create, name="policy_new"),
    path("policies/<str:policy_id>", policies.edit, name="policy"),
    path("policies/<str:policy_id>/move", policies.move, name="policy_move"),
    path("policies/<str:policy_id>/remove", policies.remove, name="policy_remove"),
    path("provisioning", provisioning.overview, name="provisioning"),
    path("provisioning/<str:token_id>/end", provisioning.end, name="provisioning_end"),
]

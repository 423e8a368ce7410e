"""`keywright explain`: which rule decides."""

from typing import Annotated

import typer

from keywright.cli import values
from keywright.cli.command import Session, command
from keywright.cli.options import (
    AskedResourceOption,
    ClientAddressOption,
    KeyArgument,
    RequiredEnvironmentOption,
)
from keywright.cli.output import Branch, Mark
from keywright.sdk import AccessExplanation, AccessRule, AccessStep, AccessVerdict

_STANDS, _LIMITS = "does it stand?", "is it used where it may be?"
# Every rule that is not here is about permissions.
_QUESTIONS = {
    AccessRule.CREDENTIAL_STATE: _STANDS,
    AccessRule.EXPIRY: _STANDS,
    AccessRule.WORKSPACE_STATE: _STANDS,
    AccessRule.USER_STATE: _STANDS,
    AccessRule.KEY_HOLDING: _STANDS,
    AccessRule.ENVIRONMENT: _LIMITS,
    AccessRule.NETWORK: _LIMITS,
    AccessRule.KEY_RESOURCE: _LIMITS,
}
_MARKS = {
    AccessVerdict.UNKNOWN: Mark.NONE,
    AccessVerdict.ALLOWS: Mark.GOOD,
    AccessVerdict.DENIES: Mark.BAD,
    AccessVerdict.NEUTRAL: Mark.NEITHER,
}


@command
def explain(
    session: Session,
    key: KeyArgument = "",
    permission: Annotated[
        str,
        typer.Argument(metavar="PERMISSION", help="What it is to do.", show_default=False),
    ] = "",
    user: Annotated[
        str | None,
        typer.Option(
            metavar="USER",
            help="In place of KEY: an id, an e-mail address, or a full name.",
            show_default=False,
        ),
    ] = None,
    resource: AskedResourceOption = "",
    required_environment: RequiredEnvironmentOption = "",
    client_address: ClientAddressOption = "",
) -> None:
    """Say why a key or a user may do something, or not: every rule, and the one that decides.

    Example: keywright explain ci-deploy datasets.write --resource projects/abc

    Example: keywright explain --user ann@acme.example datasets.write

    Example: keywright explain ci-deploy -o json | jq -r .denial.reason
    """
    values.not_empty(user, "--user")
    if user is not None and permission:
        raise typer.BadParameter("give only one of these", param_hint="KEY, --user")
    if user is not None:
        key, permission = "", key
    elif not key:
        raise typer.BadParameter("give one of these", param_hint="KEY, --user")
    with session.client() as client:
        explanation = client.explain_access(
            key,
            permission,
            user=user or "",
            resource=resource,
            required_environment=required_environment,
            client_address=client_address,
        )
    question = f"does it have {permission}" + (f" on {resource}?" if resource else "?")
    session.out.tree(explanation, _tree(explanation, question if permission else "what else?"))


def _tree(explanation: AccessExplanation, last_question: str) -> Branch:
    """The answer, and below it the steps by the questions that they answer."""
    leaves: dict[str, list[Branch]] = {}
    for step in explanation.steps:
        leaf = _leaf(step, decides=step is explanation.deciding)
        leaves.setdefault(_QUESTIONS.get(step.rule, last_question), []).append(leaf)
    branches = [Branch(question, branches=answers) for question, answers in leaves.items()]
    denial = explanation.denial
    if denial is None:
        return Branch("allowed", Mark.GOOD, branches, strong=True)
    return Branch(f"denied: {denial.reason}: {denial.message}", Mark.BAD, branches, strong=True)


def _leaf(step: AccessStep, *, decides: bool) -> Branch:
    values_told = ", ".join(step.values)
    if values_told and step.rule is AccessRule.USER_ROLE:
        values_told = f"the role: {values_told}"  # the message may end with words about grants
    told = [step.message, f"({values_told})" if values_told else ""]
    if decides:
        told += ["<- decides:" if step.subject else "<- decides", step.subject]
    return Branch(" ".join(filter(None, told)), _MARKS[step.verdict], strong=decides)

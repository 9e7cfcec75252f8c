"""``apex tools``: what plans can be made of."""

from typing import TYPE_CHECKING, Any

from infra.cli.console import out, print_document
from infra.cli.options import AsJson

if TYPE_CHECKING:
    from apex.schema.contract import Contract


def tools(as_json: AsJson = False) -> None:
    """List the installed tools: what they do, what it does outside, and how that is undone and found out.

    [bold]Example[/bold]

    apex tools --json
    """
    from apex.app.catalogue import library, registry

    told = [_facts(contract) for contract in registry().contracts.values()]
    if as_json:
        print_document(told)
        return
    for tool in told:
        _print(tool)
    console = out()
    console.print("Goals that can be planned without a language model", style="bold")
    for pattern in library().patterns:
        console.print(f"  {pattern.templates[0].shown}", soft_wrap=True)


def _facts(contract: "Contract") -> dict[str, Any]:
    return {
        "name": contract.name,
        "description": contract.description,
        "lane": contract.lane.value,
        "effect": contract.effect.value,
        "undo": contract.compensation,
        "probe": contract.can_probe,
        "timeout_seconds": contract.timeout.total_seconds(),
        "price_usd": float(contract.price),
        "examples": list(contract.examples),
    }


def _print(tool: dict[str, Any]) -> None:
    from rich.text import Text

    console = out()
    effect = {"none": "changes nothing", "reversible": f"undone by {tool['undo']}"}.get(
        tool["effect"], "cannot be undone"
    )
    facts = [tool["lane"], effect, *(["can be probed"] if tool["probe"] else []), f"{tool['timeout_seconds']:g} s"]
    facts.append("free" if not tool["price_usd"] else f"${tool['price_usd']:g} a call")
    console.print(Text.assemble((tool["name"], "bold cyan"), ("  " + " · ".join(facts), "dim")), soft_wrap=True)
    console.print(f"  {tool['description']}", soft_wrap=True)
    for example in tool["examples"]:
        console.print(f"  “{example}”", style="dim", soft_wrap=True)
    console.print()

"""Talk to the agent while `edgeagents dev` runs: python talk.py"""

import asyncio

from edgeagents import AgentClient


async def main() -> None:
    async with AgentClient("timer", "mine", host="localhost:8787") as agent:
        print(await agent.call("remind", [1, "tea is ready"]))


asyncio.run(main())

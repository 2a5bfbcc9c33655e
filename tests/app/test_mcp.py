"""The page as an MCP server, where the package for it is installed."""

import asyncio
import json

import pytest

from app.interface import build_demo, launch
from app.models import ModelRegistry

mcp = pytest.importorskip("mcp", reason="mcp is not installed")


async def visit(url, caption):
    """The tools by name, and what the one that draws says of a caption."""
    from mcp.client.streamable_http import streamable_http_client

    async with streamable_http_client(url) as (reader, writer, _), mcp.ClientSession(reader, writer) as session:
        await session.initialize()
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}
        return tools, await session.call_tool("draw_caption", {"caption": caption, "seed": 3})


def test_two_tools_and_nothing_private_are_offered(pipeline):
    registry = ModelRegistry({"fake": lambda: pipeline})
    registry["fake"].load()
    demo = build_demo(registry)
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True, mcp_server=True)
    try:
        tools, drawn = asyncio.run(visit(f"{address}gradio_api/mcp/", "a red bird"))
        _, refused = asyncio.run(visit(f"{address}gradio_api/mcp/", "zzz"))
    finally:
        demo.close()
    assert sorted(tools) == ["draw_caption", "read_picture"]
    assert tools["draw_caption"].inputSchema["required"] == ["caption"]
    assert "reads the picture back" in tools["draw_caption"].description
    assert not drawn.isError and "this red bird" in json.dumps([part.text for part in drawn.content])
    assert refused.isError and "None of these words is known" in refused.content[0].text

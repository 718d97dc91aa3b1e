"""What is installed, known without importing anything."""

from __future__ import annotations

from jackfield.installed import InstalledPlugin, installed
from tests.core.shop import PluginShop


def test_a_plugin_is_listed_with_its_distribution_and_not_imported(shop: PluginShop) -> None:
    module = shop.add("vad", "ears", "raise RuntimeError")

    assert InstalledPlugin("vad", "ears", module, "jackfield-vad-ears", "1.2") in installed("vad")


def test_plugins_are_listed_by_name(shop: PluginShop) -> None:
    for name in ("owl", "bat", "cat"):
        shop.add("vad", name, "")

    names = [plugin.name for plugin in installed("vad")]
    assert names == sorted(names)
    assert {"owl", "bat", "cat"} <= set(names)


def test_a_name_that_is_offered_twice_is_listed_twice(shop: PluginShop) -> None:
    shop.add("vad", "ears", "")
    shop.add("vad", "ears", "", distribution="other-ears")

    owners = [plugin.distribution for plugin in installed("vad") if plugin.name == "ears"]
    assert sorted(owners) == ["jackfield-vad-ears", "other-ears"]


def test_a_half_removed_distribution_is_listed_as_unknown(shop: PluginShop) -> None:
    shop.add("vad", "ears", "", distribution="gone")
    (shop.folder / "gone-1.2.dist-info" / "METADATA").unlink()

    (ears,) = [plugin for plugin in installed("vad") if plugin.name == "ears"]
    assert (ears.distribution, ears.version) == ("unknown", "")

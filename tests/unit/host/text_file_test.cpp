#include "host/text_file.hpp"

#include "host/namespace_lookup.hpp"
#include "unit/host/host_support.hpp"

namespace vnvme::host {
namespace {

TEST(Bdf, OnlyOneFormPasses) {
  for (auto good : {"0000:3b:00.2", "ffff:ff:1f.7", "10e1:00:10.0"}) EXPECT_TRUE(is_bdf(good)) << good;
  for (auto bad : {"", "3b:00.2", "0000:3b:00.8", "0000:3b:20.0", "0000:3B:00.2", "0000:3b:00.2/",
                   "../../../etc/p", "0000:3b:00,2", "0000:3b:0g.2", " 0000:3b:00.2"})
    EXPECT_FALSE(is_bdf(bad)) << bad;
}

TEST(TextFile, BoundsAndAbsence) {
  Tree tree;
  tree.file("short", "nvme \n\n");
  EXPECT_EQ(read_text(tree / "short").value(), "nvme");
  EXPECT_EQ(read_text(tree / "absent").value(), std::nullopt);
  EXPECT_EQ(read_text(tree / "short/below").value(), std::nullopt);
  tree.file("long", std::string(5000, 'x'));
  EXPECT_EQ(read_text(tree / "long").error().code, Errc::protocol);
  EXPECT_FALSE(read_text(tree.path())) << "a folder has no text";
  EXPECT_EQ(list_folder(tree.path()).value().value(), (std::vector<std::string>{"long", "short"}));
  EXPECT_EQ(list_folder(tree / "absent").value(), std::nullopt);
  tree.link("../somewhere/nvme", "driver");
  EXPECT_EQ(link_name(tree / "driver").value(), "nvme");
  EXPECT_EQ(link_name(tree / "short").value(), std::nullopt);
  EXPECT_EQ(link_name(tree / "absent").value(), std::nullopt);
}

TEST(Namespaces, NamesOfDevices) {
  EXPECT_EQ(device_of_namespace("nvme0n1"), "nvme0n1");
  EXPECT_EQ(device_of_namespace("nvme12c3n45"), "nvme12n45");
  for (auto bad :
       {"nvme0", "nvme", "nvmen1", "nvme0n", "nvme0n1p1", "nvme0c1", "ng0n1", "hwmon3", "nvme99999999999n1"})
    EXPECT_EQ(device_of_namespace(bad), std::nullopt) << bad;
}

TEST(Namespaces, UuidInEachPlaceWhereAKernelShowsIt) {
  for (auto [file, text] : {std::pair{"uuid", "6c84b44c-a61b-41a4-8b19-32ab643b57d9\n"},
                            std::pair{"nguid", "6c84b44c-a61b-41a4-8b19-32ab643b57d9\n"},
                            std::pair{"nguid", "6c84b44ca61b41a48b1932ab643b57d9\n"},
                            std::pair{"wwid", "uuid.6c84b44c-a61b-41a4-8b19-32ab643b57d9\n"},
                            std::pair{"wwid", "eui.6c84b44ca61b41a48b1932ab643b57d9\n"}}) {
    Tree tree;
    tree.file(file, text);
    EXPECT_TRUE(namespace_has_uuid(tree.path(), kUuid).value()) << file << ' ' << text;
    EXPECT_FALSE(namespace_has_uuid(tree.path(), "00000000-0000-4000-8000-000000000000").value()) << file;
  }
  Tree none;
  EXPECT_FALSE(namespace_has_uuid(none.path(), kUuid).value());
}

}  // namespace
}  // namespace vnvme::host

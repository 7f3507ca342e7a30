// What real targets of both versions answered (tests/data/spdk-client), decoded.
#include <gtest/gtest.h>

#include "dpu/spdk/bdev.hpp"
#include "dpu/spdk/errors.hpp"
#include "dpu/spdk/lvol.hpp"
#include "dpu/spdk/nvmf.hpp"
#include "dpu/spdk/raid.hpp"
#include "support/dpu_fixture.hpp"

namespace vnvme::dpu::spdk {
namespace {

const std::string kData = std::string(VNVME_TEST_DATA) + "/spdk-client";

std::vector<Json> listings(const std::string& method, const std::string& version = "") {
  std::vector<Json> out;
  for (auto& one : test::read_jsonl(kData + "/listings.jsonl"))
    if (one["method"] == method && (version.empty() || one["version"] == version)) out.push_back(one);
  EXPECT_FALSE(out.empty()) << method;
  return out;
}

TEST(RecordedErrors, EachIsClassifiedAsExpected) {
  auto rows = test::read_jsonl(kData + "/errors.jsonl");
  EXPECT_GE(rows.size(), 130u);
  for (const auto& row : rows) {
    rpc::RemoteError said{row["code"].get<std::int64_t>(), row["message"].get<std::string>()};
    auto error = classify(row["method"].get<std::string>(), said);
    EXPECT_EQ(to_string(error.code), row["expect"].get<std::string>()) << row.dump();
    EXPECT_EQ(to_string(error.outcome), row["outcome"].get<std::string>()) << row.dump();
    EXPECT_EQ(error.native, said.code);
  }
}

TEST(Errors, OnlyTheEndOfATextCounts) {
  EXPECT_EQ(classify("bdev_lvol_create", {-32602, "File exists but is not ours"}).code,
            Errc::invalid_argument);
  EXPECT_EQ(classify("bdev_lvol_create", {-32603, "No such device: Device or resource busy"}).code,
            Errc::busy);
  EXPECT_EQ(classify("nvmf_create_subsystem", {-32603, "Unable to create subsystem No such device"}).code,
            Errc::io);
}

TEST(Errors, NothingButAPositiveAnswerMeansAbsent) {
  for (auto code : {-32603L, -32602L, -32600L, -32700L, -32000L, -5L, -32L, -110L, 0L, INT64_MIN})
    EXPECT_NE(classify("bdev_get_bdevs", {code, "Internal error"}).code, Errc::not_found) << code;
}

TEST(Errors, ATargetThatHasNotBegunYetIsUnreachable) {
  EXPECT_EQ(
      classify("bdev_get_bdevs",
               {-1, "Method may only be called after framework is initialized. Use framework_start_init"})
          .code,
      Errc::unreachable);
}

TEST(Dialect, OfBothVersions) {
  for (const std::string version : {"v26.05", "v23.01"}) {
    auto methods = listings("rpc_get_methods", version), about = listings("spdk_get_version", version);
    auto dialect = make_dialect(methods[0]["result"].dump(), about[0]["result"].dump());
    ASSERT_TRUE(dialect);
    bool modern = version == "v26.05";
    EXPECT_EQ(dialect->size_in_mib, modern);
    EXPECT_EQ(dialect->iostat_names, modern);
    EXPECT_EQ(dialect->lvol_listing, modern);
    EXPECT_FALSE(dialect->snap);
    EXPECT_EQ(dialect->identity.family, "spdk");
    auto can = capabilities_of(*dialect);
    EXPECT_TRUE(can.thin && can.snapshot && can.clone && can.resize && can.qos);
    EXPECT_EQ(can.allocation_known, modern);
    EXPECT_FALSE(can.raid_levels.empty());
  }
}

TEST(Dialect, RefusesWhatIsNoSpdk) {
  EXPECT_FALSE(make_dialect("[]", "{}"));
  EXPECT_FALSE(make_dialect("{}", "{}"));
  EXPECT_FALSE(make_dialect("nonsense", "{}"));
  EXPECT_TRUE(make_dialect(R"(["bdev_get_bdevs",5])", "{}"));
}

TEST(RecordedBdevs, AllDecodeAndLvolsKnowTheirStore) {
  std::size_t lvols = 0, drives = 0;
  for (const auto& one : listings("bdev_get_bdevs")) {
    auto decoded = decode_bdevs(one["result"].dump(), [&](Bdev bdev) -> Result<void> {
      EXPECT_FALSE(bdev.name.empty());
      EXPECT_GT(bdev.block_size, 0u);
      (bdev.lvol ? lvols : drives)++;
      if (bdev.lvol) {
        EXPECT_EQ(one["version"] == "v26.05", bdev.lvol->allocated_clusters.has_value()) << one.dump();
      }
      return {};
    });
    EXPECT_TRUE(decoded) << one.dump();
  }
  EXPECT_GT(lvols, 20u);
  EXPECT_GT(drives, 20u);
}

TEST(RecordedBdevs, SnapshotAndCloneKnowEachOther) {
  bool parent = false, child = false;
  for (const auto& one : listings("bdev_get_bdevs"))
    EXPECT_TRUE(decode_bdevs(one["result"].dump(), [&](const Bdev& bdev) -> Result<void> {
      if (!bdev.lvol) return {};
      parent |= bdev.lvol->snapshot && !bdev.lvol->clones.empty();
      child |= !bdev.lvol->base_snapshot.empty();
      return {};
    }));
  EXPECT_TRUE(parent);
  EXPECT_TRUE(child);
}

TEST(RecordedStores, Decode) {
  for (const auto& one : listings("bdev_lvol_get_lvstores")) {
    auto pools = decode_lvstores(one["result"].dump());
    ASSERT_TRUE(pools) << one.dump();
    EXPECT_EQ(pools->size(), one["result"].size());
    for (const auto& pool : *pools) EXPECT_LE(pool.free, pool.total);
  }
}

TEST(RecordedLvols, DecodeWithNamesOfAnyKind) {
  bool strange = false, empty = false;
  for (const auto& one : listings("bdev_lvol_get_lvols")) {
    auto volumes = decode_lvols(one["result"].dump());
    ASSERT_TRUE(volumes) << one.dump();
    for (const auto& v : *volumes) {
      strange |= v.name == "sp ace/sla\"sh\xC3\xA9";
      empty |= v.name.empty();
      EXPECT_EQ(v.size.value, 0u);
    }
  }
  EXPECT_TRUE(strange);
  (void)empty;
}

TEST(RecordedLvols, TellTheirAllocation) {
  for (const auto& one : listings("bdev_lvol_get_lvols")) {
    auto text = one["result"].dump();
    auto unknown = decode_lvols(text), known = decode_lvols(text, MiB(4));
    ASSERT_TRUE(unknown && known) << text;
    ASSERT_EQ(known->size(), one["result"].size());
    for (std::size_t i = 0; i < known->size(); ++i) {
      EXPECT_FALSE((*unknown)[i].allocated) << "nobody said how large a cluster is";
      ASSERT_TRUE((*known)[i].allocated);
      EXPECT_EQ((*known)[i].allocated->value, one["result"][i]["num_allocated_clusters"].get<std::uint64_t>()
                                                  << 22);
      EXPECT_EQ((*known)[i].name, one["result"][i]["name"].get<std::string>());
      EXPECT_EQ((*known)[i].pool.value, one["result"][i]["lvs"]["uuid"].get<std::string>());
      EXPECT_EQ((*known)[i].thin, one["result"][i]["is_thin_provisioned"].get<bool>());
      EXPECT_EQ((*known)[i].snapshot, one["result"][i]["is_snapshot"].get<bool>());
    }
  }
}

TEST(Lvols, ARecordWithoutWhatMattersIsRefused) {
  const Json good = {{"uuid", "3501c9f8-15bd-4fde-b188-b225ff03fd3c"},
                     {"name", "a"},
                     {"is_snapshot", false},
                     {"lvs", {{"uuid", "55af6ed8-bd39-4882-9683-61abe84fffcc"}}}};
  auto refused = [](const Json& record) { return !decode_lvols(Json::array({record}).dump(), MiB(4)); };
  EXPECT_FALSE(refused(good));
  for (const char* key : {"uuid", "name", "is_snapshot", "lvs"}) {
    auto without = good, wrong = good;
    without.erase(key);
    wrong[key] = 5;
    EXPECT_TRUE(refused(without)) << key;
    EXPECT_TRUE(refused(wrong)) << key;
  }
  auto strange = good;
  strange["uuid"] = "not a uuid";
  EXPECT_TRUE(refused(strange));
  strange = good;
  strange["lvs"] = {{"uuid", 7}};
  EXPECT_TRUE(refused(strange));
  strange = good;
  strange["num_allocated_clusters"] = UINT64_MAX;
  EXPECT_TRUE(refused(strange)) << "more than 8 EiB";
  strange["num_allocated_clusters"] = "many";
  EXPECT_FALSE(refused(strange)) << "an unknown allocation is no reason to refuse a list";
}

TEST(Lvols, NamesAreReadAsTheyAreMeant) {
  auto name_of = [](const std::string& written) -> std::string {
    auto volumes = decode_lvols(
        "[{\"uuid\":\"3501c9f8-15bd-4fde-b188-b225ff03fd3c\",\"is_snapshot\":\"true\",\"name\":" + written +
        ",\"lvs\":{\"uuid\":\"55af6ed8-bd39-4882-9683-61abe84fffcc\"}}]");
    return volumes ? volumes->front().name : "refused";
  };
  EXPECT_EQ(name_of("\"plain\""), "plain");
  EXPECT_EQ(name_of("\"\\u00e9\\\"\\\\\\/\""), "\xC3\xA9\"\\/");
  EXPECT_EQ(name_of("\"\xC3\xA9\""), "\xC3\xA9");
  EXPECT_EQ(name_of("\"\xC3\""), "refused") << "not UTF-8";
  EXPECT_EQ(name_of("\"\\q\""), "refused") << "no such escape";
  EXPECT_EQ(name_of("\"" + std::string(5000, 'n') + "\""), "refused") << "beyond every bound";
  EXPECT_EQ(name_of("null"), "refused");
}

TEST(RecordedRaids, BothFormsOfMembers) {
  bool hole = false;
  for (const auto& one : listings("bdev_raid_get_bdevs")) {
    auto raids = decode_raids(one["result"].dump());
    ASSERT_TRUE(raids) << one.dump();
    for (const auto& raid : *raids) {
      EXPECT_FALSE(raid.state.empty());
      EXPECT_EQ(raid.drives.size(), raid.members);
      for (const auto& drive : raid.drives) hole |= drive.empty();
    }
  }
  EXPECT_TRUE(hole) << "a missing member is an empty name";
}

TEST(RecordedSubsystems, DecodeWithoutDiscovery) {
  std::size_t namespaces = 0;
  for (const auto& one : listings("nvmf_get_subsystems")) {
    auto state = decode_subsystems(one["result"].dump());
    ASSERT_TRUE(state) << one.dump();
    for (const auto& s : *state) EXPECT_EQ(s.nqn.find("discovery"), std::string::npos);
    for (const auto& e : exposures_of(*state)) {
      EXPECT_TRUE(e.foreign);
      EXPECT_TRUE(parse_uuid(e.target)) << e.target;
      ++namespaces;
    }
  }
  EXPECT_GT(namespaces, 0u);
}

TEST(Volumes, NameIsWhatFollowsTheStoreInTheAlias) {
  auto bdev = decode_bdev(test::vol_text({.name = "a/b c"}));
  ASSERT_TRUE(bdev);
  Pool pool{PoolId(test::kPool), "lvs0", "aio0", {}, {}, MiB(1)};
  auto volume = volume_of(*bdev, pool);
  ASSERT_TRUE(volume);
  EXPECT_EQ(volume->name, "a/b c");
  EXPECT_EQ(volume->allocated, MiB(3));
  EXPECT_EQ(volume->size, MiB(100));
  auto unnamed = decode_bdev(test::vol_text({.name = ""}));
  EXPECT_EQ(volume_of(*unnamed, pool)->name, "");
  pool.name = "other";
  EXPECT_FALSE(volume_of(*bdev, pool));
}

TEST(Bdevs, ARecordThatCannotBeReadFailsTheListing) {
  auto skip = [](const Bdev&) -> Result<void> { return {}; };
  for (
      const char* bad :
      {R"([{"name":"a"}])", R"([{"name":"a","num_blocks":1,"block_size":0}])", R"([5])",
       R"([{"name":5,"num_blocks":1,"block_size":512}])",
       R"([{"name":"a","num_blocks":18446744073709551615,"block_size":4096}])",
       R"([{"name":"x","num_blocks":1,"block_size":512,"product_name":"Logical Volume"}])",
       R"([{"name":"no-uuid","num_blocks":1,"block_size":512,"driver_specific":{"lvol":{"lvol_store_uuid":"55af6ed8-bd39-4882-9683-61abe84fffcc","snapshot":false}}}])",
       R"([{"name":"3501c9f8-15bd-4fde-b188-b225ff03fd3c","num_blocks":1,"block_size":512,"driver_specific":{"lvol":{"snapshot":false}}}])",
       R"([{"name":"a","num_blocks":1,"block_size":512},])", R"({"name":"a"})", "true"})
    EXPECT_FALSE(decode_bdevs(bad, skip)) << bad;
}

TEST(Bdevs, NumbersMayComeAsStringsAndExtraFieldsAreIgnored) {
  auto bdev = decode_bdev(
      R"({"name":"a","num_blocks":"8","block_size":"512","claimed":"true","new_field":{"x":[1,2]}})");
  ASSERT_TRUE(bdev);
  EXPECT_EQ(bdev->size.value, 4096u);
  EXPECT_TRUE(bdev->claimed);
}

TEST(Bdevs, TheDriveBehindAnNvmeBdevIsNamed) {
  auto bdev = decode_bdev(
      R"({"name":"Nv0n1","num_blocks":8,"block_size":512,"driver_specific":{"nvme":[{"ctrlr_data":{"model_number":"M","serial_number":"S"}}]}})");
  ASSERT_TRUE(bdev);
  EXPECT_EQ(bdev->model, "M");
  EXPECT_EQ(bdev->serial, "S");
}

TEST(Subsystems, WithoutNamespacesMemberNobodyCanTell) {
  EXPECT_FALSE(decode_subsystems(R"([{"nqn":"n","subtype":"NVMe"}])"));
  EXPECT_FALSE(decode_subsystems(R"([{"subtype":"NVMe","namespaces":[]}])"));
  EXPECT_FALSE(decode_subsystems(R"([{"nqn":"n","namespaces":[{"nsid":1}]}])"));
  EXPECT_FALSE(decode_subsystems(R"([{"nqn":"n","namespaces":[{"nsid":0,"bdev_name":"x"}]}])"));
}

TEST(Names, OneToSixtyThreeBytesOfUtf8) {
  EXPECT_TRUE(check_lvol_name(std::string(63, 'x')));
  EXPECT_TRUE(check_lvol_name("sp ace/\xC3\xA9"));
  for (const auto& bad : {std::string(), std::string(64, 'x'), std::string("\xFF"), std::string("a\nb"),
                          std::string("a\0b", 3)})
    EXPECT_FALSE(check_lvol_name(bad));
}

TEST(Serials, MakeAnNqnOrAreRefused) {
  EXPECT_EQ(*nqn_of_serial("VM1-a.b"), "nqn.2026-11.io.vnvme:f-VM1-a.b");
  for (const char* bad : {"", "123456789012345678901", "a b", "a:b", "\xC3\xA9", "a_b"})
    EXPECT_FALSE(nqn_of_serial(bad)) << bad;
}

}  // namespace
}  // namespace vnvme::dpu::spdk

// Journal, base64, parameters, command line, fault rules.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "dpusim/base64.hpp"
#include "dpusim/block.hpp"
#include "dpusim/faults.hpp"
#include "dpusim/journal.hpp"
#include "dpusim/options.hpp"
#include "dpusim/params.hpp"

namespace vnvme::sim {
namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/dpusim-unit-XXXXXX";
    if (::mkdtemp(name) != nullptr) path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::vector<Json> lines(const std::string& path) {
  std::vector<Json> out;
  Journal journal(path);
  EXPECT_TRUE(journal.replay([&out](const Json& line) {
    out.push_back(line);
    return true;
  }));
  return out;
}

TEST(Journal, GivesBackWhatWasAppended) {
  Folder folder;
  auto path = folder / "j";
  Journal journal(path);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(journal.append({{"i", i}}));
  EXPECT_EQ(journal.lines(), 5u);
  auto read = lines(path);
  ASSERT_EQ(read.size(), 5u);
  EXPECT_EQ(read[4]["i"], 4);
}

TEST(Journal, LosesNoMoreThanTheTornLine) {
  Folder folder;
  auto path = folder / "j";
  Journal(path).append({{"a", 1}});
  Journal(path).append({{"b", "two"}});
  auto whole = *read_file(path);
  auto first = whole.find('\n') + 1;
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    ASSERT_TRUE(write_file(path, whole.substr(0, n)));
    EXPECT_EQ(lines(path).size(), n == whole.size() ? 2u : n >= first ? 1u : 0u) << n;
    Journal(path).append({{"c", 3}});
    EXPECT_EQ(lines(path).back(), Json({{"c", 3}}));
  }
}

TEST(Journal, RefusesAWholeLineThatIsNoJson) {
  Folder folder;
  ASSERT_TRUE(write_file(folder / "j", "{\"a\":1}\nrubbish\n{\"b\":2}\n"));
  Journal journal(folder / "j");
  EXPECT_FALSE(journal.replay([](const Json&) { return true; }));
  EXPECT_FALSE(Journal(folder / "none").replay([](const Json&) { return true; }));
}

TEST(Journal, RewritesAsAWhole) {
  Folder folder;
  Journal journal(folder / "j");
  for (int i = 0; i < 100; ++i) journal.append({{"i", i}});
  EXPECT_TRUE(journal.rewrite([](const std::function<void(const Json&)>& put) { put({{"all", 100}}); }));
  EXPECT_TRUE(journal.append({{"i", 100}}));
  EXPECT_EQ(lines(folder / "j").size(), 2u);
  journal.remove();
  EXPECT_FALSE(std::filesystem::exists(folder / "j"));
}

TEST(Files, AreReadUpToALimit) {
  Folder folder;
  ASSERT_TRUE(write_file(folder / "f", "12345"));
  EXPECT_EQ(*read_file(folder / "f", 5), "12345");
  EXPECT_FALSE(read_file(folder / "f", 4).has_value());
  EXPECT_EQ(read_file(folder / "none").error().code, Errc::not_found);
  EXPECT_FALSE(write_file(folder / "no/such/folder", ""));
}

TEST(Base64, GoesThereAndBack) {
  std::string bytes;
  for (int n = 0; n < 300; ++n) {
    EXPECT_EQ(from_base64(base64(bytes)), bytes);
    bytes += static_cast<char>(n * 7);
  }
  EXPECT_EQ(base64("user:pass"), "dXNlcjpwYXNz");
}

TEST(Base64, RefusesOtherText) {
  for (std::string_view text : {"a", "ab", "abc", "ab=c", "====", "a===", "ab c", "AB==CD==", "AP=="})
    EXPECT_EQ(from_base64(text).has_value(), false) << text;
}

TEST(Args, AreAsStrictAsTheRealDecoder) {
  std::vector<Field> fields = {{"name", Type::text, true},
                               {"size", Type::number},
                               {"thin", Type::boolean},
                               {"list", Type::texts},
                               {"new", Type::text, false, false}};
  auto decode = [&fields](const char* text) {
    auto json = parse_json(text);
    return Args::decode(&*json, fields);
  };
  auto good = decode(R"({"name":"a","size":18446744073709551615,"thin":true,"list":["x","y"]})");
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(good->text("name"), "a");
  EXPECT_EQ(good->number("size"), UINT64_MAX);
  EXPECT_TRUE(good->flag("thin"));
  EXPECT_EQ(good->texts("list").size(), 2u);
  EXPECT_EQ(good->number_or("absent", 7), 7u);
  for (const char* bad :
       {"{}", "[]", "[\"a\"]", R"({"name":1})", R"({"name":null})", R"({"name":"a","size":"1"})",
        R"({"name":"a","size":-1})", R"({"name":"a","size":1.5})", R"({"name":"a","thin":1})",
        R"({"name":"a","list":[1]})", R"({"name":"a","unknown":1})", R"({"name":"a","new":"x"})"})
    EXPECT_FALSE(decode(bad).has_value()) << bad;
  EXPECT_FALSE(Args::decode(nullptr, fields).has_value());
  EXPECT_TRUE(Args::decode(nullptr, {{"name", Type::text}}).has_value());
}

TEST(FileDevice, KeepsInsideItsSize) {
  int error = 0;
  auto device = FileDevice::open("", 8192, true, &error);
  ASSERT_NE(device, nullptr);
  std::string bytes(100, 'x');
  EXPECT_EQ(device->write(8092, bytes), 0);
  EXPECT_EQ(device->write(8093, bytes), EINVAL);
  EXPECT_EQ(device->read(UINT64_MAX, bytes), EINVAL);
  EXPECT_EQ(device->zero(0, 8193), EINVAL);
  EXPECT_EQ(device->unmap(8092, 100), 0);
  EXPECT_EQ(device->read(8092, bytes), 0);
  EXPECT_EQ(bytes, std::string(100, '\0'));
  EXPECT_EQ(FileDevice::open("/no/such/file", 0, true, &error), nullptr);
  EXPECT_EQ(error, ENOENT);
}

// Every byte has one place: what is written piece by piece is read as a whole, and no two places are the
// same.
TEST(RaidDevice, EveryByteHasItsOwnPlace) {
  for (auto level : {RaidDevice::Level::raid0, RaidDevice::Level::concat, RaidDevice::Level::raid5f}) {
    int error = 0;
    std::vector<std::unique_ptr<FileDevice>> files;
    std::vector<BlockDevice*> bases;
    for (int i = 0; i < 4; ++i) {
      files.push_back(FileDevice::open("", 64 * 1024, true, &error));
      bases.push_back(files.back().get());
    }
    RaidDevice raid(level, 4096, 1024, bases, std::vector<std::uint64_t>(4, 63 * 1024));
    std::string whole(raid.size(), '\0');
    for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<char>(i / 512 * 31 + i);
    for (std::size_t at = 0; at < whole.size();) {
      auto n = std::min<std::size_t>(whole.size() - at, 777);
      ASSERT_EQ(raid.write(at, std::span(whole).subspan(at, n)), 0);
      at += n;
    }
    std::string back(whole.size(), '\0');
    ASSERT_EQ(raid.read(0, back), 0);
    EXPECT_EQ(back, whole);
    std::string head(1024, 'x');
    ASSERT_EQ(files[0]->read(0, head), 0);
    EXPECT_EQ(head, std::string(1024, '\0'));  // before the data begins nothing is touched
    EXPECT_EQ(raid.read(raid.size(), std::span(back).first(1)), EINVAL);
  }
}

TEST(RaidDevice, WithoutAMemberOnlyAMirrorGoesOn) {
  int error = 0;
  auto a = FileDevice::open("", 8192, true, &error), b = FileDevice::open("", 8192, true, &error);
  RaidDevice mirror(RaidDevice::Level::raid1, 512, 0, {a.get(), b.get()}, {8192, 8192});
  RaidDevice striped(RaidDevice::Level::raid0, 512, 0, {a.get(), nullptr}, {8192, 8192});
  std::string bytes(1024, 'm');
  mirror.set_base(0, nullptr);
  EXPECT_EQ(mirror.write(0, bytes), 0);
  EXPECT_EQ(striped.write(0, bytes), EIO);
  mirror.set_base(0, a.get());
  EXPECT_EQ(mirror.rebuild(0), 0);
  mirror.set_base(1, nullptr);
  std::string back(1024, '\0');
  EXPECT_EQ(mirror.read(0, back), 0);
  EXPECT_EQ(back, bytes);
  mirror.set_base(0, nullptr);
  EXPECT_EQ(mirror.read(0, back), EIO);
}

TEST(Options, TakesDrivesApart) {
  auto o = parse_options({"--state", "/s", "--listen=unix:/r", "--drive",
                          "name=A,size=1GiB,serial=S,model=M x,block=4096,unmap=zeroes"});
  ASSERT_TRUE(o.has_value()) << o.error().text;
  ASSERT_EQ(o->settings.drives.size(), 1u);
  const auto& d = o->settings.drives[0];
  EXPECT_EQ(d.name + d.serial + d.model, "ASM x");
  EXPECT_EQ(d.size, 1u << 30);
  EXPECT_EQ(d.block_size, 4096u);
  EXPECT_TRUE(d.unmap_zeroes);
  EXPECT_EQ(o->tick_ms, 0u);
  EXPECT_TRUE(parse_options({"--help", "--whatever"})->help);
}

Json answer_of(const Mangled& out) {
  return parse_json(out.writes.at(0)).value_or(Json());
}

TEST(Faults, ChangeOnlyWhatTheyName) {
  Fault fault;
  std::string answer = R"({"jsonrpc":"2.0","id":3,"result":[{"a":1,"b":{"a":2,"c":"x"}}]})"
                       "\n";
  fault.action = "strings_for_numbers";
  EXPECT_EQ(answer_of(mangle(fault, answer))["result"][0]["b"]["a"], "2");
  EXPECT_EQ(answer_of(mangle(fault, answer))["id"], 3);
  fault.action = "missing_field";
  fault.field = "a";
  EXPECT_EQ(answer_of(mangle(fault, answer))["result"].dump(), R"([{"b":{"c":"x"}}])");
  fault.action = "byte_by_byte";
  EXPECT_EQ(mangle(fault, answer).writes.size(), answer.size());
  fault.action = "half_frame";
  EXPECT_TRUE(mangle(fault, answer).close);
}

TEST(Faults, HitTheNthAndThenSoMany) {
  Faults faults;
  Json rule = {{"method", "m"}, {"action", "never"}, {"nth", 2u}, {"times", 2u}};
  ASSERT_TRUE(faults.add(&rule).has_value());
  std::string seen;
  for (int i = 0; i < 5; ++i) seen += faults.hit("m") ? 'x' : '.';
  EXPECT_EQ(seen, ".xx..");
  EXPECT_FALSE(faults.hit("other"));
  EXPECT_EQ(faults.hits(), 2u);
  EXPECT_TRUE(faults.json().empty());
}

TEST(Faults, AreBounded) {
  Faults faults;
  Json rule = {{"method", "m"}, {"action", "never"}};
  for (std::size_t i = 0; i < Faults::kMost; ++i) ASSERT_TRUE(faults.add(&rule).has_value());
  EXPECT_FALSE(faults.add(&rule).has_value());
  faults.clear();
  EXPECT_TRUE(faults.add(&rule).has_value());
}

}  // namespace
}  // namespace vnvme::sim

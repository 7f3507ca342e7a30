// What the tests of the store share: a private folder, coroutines run to their end, records made from a seed,
// and snapshots as text that can be compared.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <optional>
#include <random>
#include <string>

#include "state/contents.hpp"
#include "state/row_codec.hpp"
#include "vnvme/store.hpp"

namespace vnvme::state {

class TempFolder {
 public:
  TempFolder() {
    // fsync costs nothing there, and no test here is about the real disk.
    std::string pattern = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/vnvme-XXXXXX" : "/tmp/vnvme-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Runs it to its end; a coroutine that does not finish is a failure.
template <class T>
Result<T> run_task(boost::asio::io_context& io, Task<Result<T>> task) {
  std::optional<Result<T>> answer;
  boost::asio::co_spawn(io, std::move(task), [&answer](const std::exception_ptr& thrown, Result<T> result) {
    EXPECT_FALSE(thrown);
    answer = std::move(result);
  });
  io.restart();
  io.run();
  EXPECT_TRUE(answer.has_value()) << "the coroutine did not finish";
  if (!answer) return fail(Errc::internal, "did not finish");
  return std::move(*answer);
}

inline void print_rows(std::string& to, const Change& change) {
  RowChange row = to_row_change(change);
  to += table(row.table).name;
  for (const Value& value : row.row) {
    to += '|';
    if (const auto* number = std::get_if<std::int64_t>(&value))
      to += std::to_string(*number);
    else if (const auto& text = std::get<std::string>(value); text.size() <= 64)
      to += text;
    else  // a failure must stay readable
      to += text.substr(0, 8) + "... " + std::to_string(text.size()) + " bytes, checksum " +
            std::to_string(checksum("", {text}));
  }
  to += '\n';
}

inline std::string as_text(const Snapshot& s) {
  std::string text;
  auto all = [&text](const auto& records) {
    for (const auto& record : records) print_rows(text, Put<std::decay_t<decltype(record)>>{record});
  };
  all(s.srs), all(s.volumes), all(s.attachments), all(s.reservations), all(s.nsids), all(s.intents),
      all(s.requests);
  for (const auto& [key, value] : s.notes) print_rows(text, PutNote{key, value});
  return text;
}

// Random changes over few names, so that puts meet puts, erasures hit, and rules are broken now and then.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t upto(std::uint64_t bound) { return engine_() % bound; }
  std::string name(const char* kind, std::uint64_t of) { return kind + std::to_string(upto(of)); }

  Change change() {
    switch (upto(12)) {
      case 0:
        return Put<SrRecord>{sr()};
      case 1:
        return Put<VolumeRecord>{volume()};
      case 2:
      case 3:
      case 4:
        return Put<AttachmentRecord>{attachment()};
      case 5:
        return Put<ReservationRecord>{{VmId(name("vm", 3)), DpuId("dpu"), FunctionId(name("fn", 3)), "S"}};
      case 6:
        return Put<NsidRecord>{
            {name("vm", 3), VolumeId(name("vol", 4)), static_cast<std::uint32_t>(upto(99))}};
      case 7:
        return Put<IntentRecord>{{upto(8),
                                  static_cast<IntentKind>(upto(11)),
                                  SrId("sr0"),
                                  VolumeId(name("vol", 4)),
                                  {{"k", name("v", 9)}},
                                  RequestId(name("rq", 5))}};
      case 8:
        return Put<RequestRecord>{{RequestId(name("rq", 5)), "Volume.create", name("answer", 9), 7}};
      case 9:
        return PutNote{name("note", 4), name("value", 9)};
      default:
        return erasure();
    }
  }
  std::vector<Change> commit() {
    std::vector<Change> changes;
    for (std::uint64_t n = 1 + upto(5); n; --n) changes.push_back(change());
    return changes;
  }

 private:
  SrRecord sr() {
    SrRecord r;
    r.id = SrId(name("sr", 3)), r.type = "vnvme", r.name = name("label", 9),
    r.drives = {name("drive", 9), "b"};
    r.state = static_cast<SrState>(upto(3)), r.total = GiB(upto(100)), r.wipe = static_cast<Wipe>(upto(3));
    return r;
  }
  VolumeRecord volume() {
    VolumeRecord r;
    r.id = VolumeId(name("vol", 6)), r.sr = SrId(name("sr", 3)), r.name = std::string(upto(3000), 'n');
    r.keys = {{"a", name("b", 9)}}, r.state = static_cast<VolumeState>(upto(3)), r.seq = upto(5),
    r.size = MiB(upto(9));
    return r;
  }
  AttachmentRecord attachment() {
    AttachmentRecord r;
    r.volume = VolumeId(name("vol", 2)), r.owner = name("vm:", 3), r.domains = {name("", 5)};
    r.mode = static_cast<AttachMode>(upto(3)), r.state = static_cast<AttachState>(upto(3)),
    r.boot_id = "boot";
    return r;
  }
  Change erasure() {
    switch (upto(8)) {
      case 0:
        return Erase<SrId>{SrId(name("sr", 3))};
      case 1:
        return Erase<VolumeId>{VolumeId(name("vol", 6))};
      case 2:
        return EraseAttachment{VolumeId(name("vol", 2)), name("vm:", 3)};
      case 3:
        return EraseReservation{VmId(name("vm", 3)), DpuId("dpu")};
      case 4:
        return EraseNsid{name("vm", 3), VolumeId(name("vol", 4))};
      case 5:
        return EraseIntent{upto(8)};
      case 6:
        return Erase<RequestId>{RequestId(name("rq", 5))};
      default:
        return EraseNote{name("note", 4)};
    }
  }
  std::mt19937_64 engine_;
};

// How many seeds a test runs: few each time, many on demand (VNVME_SEEDS=10000).
inline std::uint64_t seeds(std::uint64_t few) {
  const char* wanted = ::getenv("VNVME_SEEDS");
  return wanted ? std::strtoull(wanted, nullptr, 10) : few;
}

}  // namespace vnvme::state

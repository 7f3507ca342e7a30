#include "state/contents.hpp"

#include <algorithm>

#include "core/text.hpp"

namespace vnvme::state {
namespace {

// Collects every text and list of a change and remembers the first that breaks a bound.
class FormCheck {
 public:
  void text(std::string_view what, const std::string& value) {
    if (!problem_.empty()) return;
    if (value.size() > kMaxText)
      problem_ = std::string(what) + " has " + std::to_string(value.size()) + " bytes, more than " +
                 std::to_string(kMaxText);
    else if (!is_utf8(value))
      problem_ = std::string(what) + " is not UTF-8";
  }
  template <class List>
  void list(std::string_view what, const List& values) {
    entries(what, values.size());
    std::size_t total = 0;
    for (const auto& value : values) {
      text(what, value);
      total += value.size();
    }
    sum(what, total);
  }
  void map(std::string_view what, const std::map<std::string, std::string>& values) {
    entries(what, values.size());
    std::size_t total = 0;
    for (const auto& [key, value] : values) {
      text(what, key);
      text(what, value);
      total += key.size() + value.size();
    }
    sum(what, total);
  }

  void operator()(const Put<SrRecord>& c) {
    const SrRecord& r = c.record;
    text("SR id", r.id.str()), text("SR type", r.type), text("SR name", r.name),
        text("SR description", r.description);
    text("DPU", r.dpu.str()), text("pool", r.pool.str()), text("pool name", r.pool_name);
    text("RAID level", r.raid_level), text("RAID name", r.raid_name);
    list("drives", r.drives), list("serials", r.serials);
  }
  void operator()(const Put<VolumeRecord>& c) {
    const VolumeRecord& r = c.record;
    text("volume id", r.id.str()), text("SR id", r.sr.str()), text("name", r.name),
        text("description", r.description);
    text("DPU name", r.dpu_name), text("DPU id", r.dpu_id.str()), text("parent", r.parent.str());
    map("keys", r.keys);
  }
  void operator()(const Put<AttachmentRecord>& c) {
    const AttachmentRecord& r = c.record;
    text("volume id", r.volume.str()), text("owner", r.owner), text("function", r.function.str());
    text("DPU", r.dpu.str()), text("boot id", r.boot_id), text("device", r.device);
    list("domains", r.domains);
  }
  void operator()(const Put<ReservationRecord>& c) {
    text("VM", c.record.vm.str()), text("DPU", c.record.dpu.str());
    text("function", c.record.function.str()), text("serial", c.record.serial);
  }
  void operator()(const Put<NsidRecord>& c) {
    text("owner", c.record.owner), text("volume id", c.record.volume.str());
  }
  void operator()(const Put<IntentRecord>& c) {
    text("SR id", c.record.sr.str()), text("volume id", c.record.volume.str());
    text("request", c.record.request.str()), map("facts", c.record.facts);
  }
  void operator()(const Put<RequestRecord>& c) {
    text("request", c.record.id.str()), text("method", c.record.method), text("answer", c.record.answer);
  }
  void operator()(const PutNote& c) { text("note", c.key), text("note", c.value); }
  template <class Erasing>
  void operator()(const Erasing&) {}

  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void entries(std::string_view what, std::size_t count) {
    if (problem_.empty() && count > kMaxEntries)
      problem_ = std::string(what) + " has " + std::to_string(count) + " entries, more than " +
                 std::to_string(kMaxEntries);
  }
  void sum(std::string_view what, std::size_t bytes) {
    if (problem_.empty() && bytes > kMaxText)
      problem_ = std::string(what) + " has more than " + std::to_string(kMaxText) + " bytes in all";
  }
  std::string problem_;
};

}  // namespace

Result<void> check_form(const std::vector<Change>& changes) {
  if (changes.size() > kMaxChanges)
    return fail(Errc::invalid_argument, "a commit of " + std::to_string(changes.size()) +
                                            " changes is more than the store takes at once");
  FormCheck check;
  for (const Change& change : changes) std::visit(check, change);
  if (!check.problem().empty())
    return fail(Errc::invalid_argument, "the store refuses a record: " + check.problem());
  return {};
}

Error owner_conflict(const std::string& volume, const std::string& owner) {
  return {Errc::in_use, Outcome::not_done,
          "volume " + printable(volume, 64) + " cannot be given to " + printable(owner, 64) +
              ": another owner holds it, and read-write excludes every other owner"};
}

Error function_conflict(const std::string& function, const std::string& vm) {
  return {Errc::in_use, Outcome::not_done,
          "function " + printable(function, 128) + " cannot be reserved for VM " + printable(vm, 64) +
              ": it is reserved for another VM"};
}

struct Contents::Applier {
  Contents& to;

  Result<void> operator()(const Put<SrRecord>& c) {
    return to.srs_.insert_or_assign(c.record.id, c.record), Result<void>{};
  }
  Result<void> operator()(const Erase<SrId>& c) { return to.srs_.erase(c.key), Result<void>{}; }
  Result<void> operator()(const Put<VolumeRecord>& c) {
    return to.volumes_.insert_or_assign(c.record.id, c.record), Result<void>{};
  }
  Result<void> operator()(const Erase<VolumeId>& c) { return to.volumes_.erase(c.key), Result<void>{}; }
  Result<void> operator()(const Put<AttachmentRecord>& c) {
    const AttachmentRecord& r = c.record;
    for (auto it = to.attachments_.lower_bound({r.volume, {}}); it != to.attachments_.end(); ++it) {
      const AttachmentRecord& other = it->second;
      if (other.volume != r.volume) break;
      if (other.owner == r.owner || other.mode == AttachMode::none || r.mode == AttachMode::none) continue;
      if (other.mode == AttachMode::read_write || r.mode == AttachMode::read_write)
        return fail(owner_conflict(r.volume.str(), r.owner));
    }
    to.attachments_.insert_or_assign({r.volume, r.owner}, r);
    return {};
  }
  Result<void> operator()(const EraseAttachment& c) {
    return to.attachments_.erase({c.volume, c.owner}), Result<void>{};
  }
  Result<void> operator()(const Put<ReservationRecord>& c) {
    const ReservationRecord& r = c.record;
    for (const auto& [key, other] : to.reservations_)
      if (!r.function.empty() && other.function == r.function && other.dpu == r.dpu && other.vm != r.vm)
        return fail(function_conflict(r.function.str(), r.vm.str()));
    to.reservations_.insert_or_assign({r.vm, r.dpu}, r);
    return {};
  }
  Result<void> operator()(const EraseReservation& c) {
    return to.reservations_.erase({c.vm, c.dpu}), Result<void>{};
  }
  Result<void> operator()(const Put<NsidRecord>& c) {
    return to.nsids_.insert_or_assign({c.record.owner, c.record.volume}, c.record), Result<void>{};
  }
  Result<void> operator()(const EraseNsid& c) { return to.nsids_.erase({c.owner, c.volume}), Result<void>{}; }
  Result<void> operator()(const Put<IntentRecord>& c) {
    return to.intents_.insert_or_assign(c.record.id, c.record), Result<void>{};
  }
  Result<void> operator()(const EraseIntent& c) { return to.intents_.erase(c.id), Result<void>{}; }
  Result<void> operator()(const Put<RequestRecord>& c) {
    return to.requests_.insert_or_assign(c.record.id, c.record), Result<void>{};
  }
  Result<void> operator()(const Erase<RequestId>& c) { return to.requests_.erase(c.key), Result<void>{}; }
  Result<void> operator()(const PutNote& c) {
    return to.notes_.insert_or_assign(c.key, c.value), Result<void>{};
  }
  Result<void> operator()(const EraseNote& c) { return to.notes_.erase(c.key), Result<void>{}; }
};

Result<void> Contents::apply(const std::vector<Change>& changes) {
  Applier applier{*this};
  for (const Change& change : changes) VNVME_TRY(std::visit(applier, change));
  return {};
}

Snapshot Contents::snapshot() const {
  Snapshot s;
  auto fill = [](auto& to, const auto& from) {
    to.reserve(from.size());
    for (const auto& [key, record] : from) to.push_back(record);
  };
  fill(s.srs, srs_);
  fill(s.volumes, volumes_);
  std::stable_sort(s.volumes.begin(), s.volumes.end(),
                   [](const auto& a, const auto& b) { return a.seq < b.seq; });
  fill(s.attachments, attachments_);
  fill(s.reservations, reservations_);
  fill(s.nsids, nsids_);
  fill(s.intents, intents_);
  fill(s.requests, requests_);
  s.notes = notes_;
  return s;
}

}  // namespace vnvme::state

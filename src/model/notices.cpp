#include "model/notices.hpp"

#include <algorithm>
#include <charconv>

#include "core/text.hpp"

namespace vnvme::model {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::string_view kPrefix = "message.";
constexpr Seconds kStands{20};    // the latest look saw it: looks are further apart
constexpr Seconds kDoubt{60};     // after a lost answer
constexpr Seconds kRefused{10};   // doubled with each refusal
constexpr Seconds kLongest{600};  // between two tries
constexpr Seconds kRefill{360};   // one more message: ten an hour
constexpr int kHysteresis = 5;    // per cent

constexpr TopicRow kTopics[] = {
    {Topic::dpu_lost, "VNVME_DPU_LOST", 2, Seconds(90), minutes(5), "`vnvme dpu` says since when and why."},
    {Topic::pool_missing, "VNVME_POOL_MISSING", 1, Seconds(60), minutes(5),
     "A drive may be missing; `vnvme drives` and `vnvme doctor` say more."},
    {Topic::pool_degraded, "VNVME_POOL_DEGRADED", 2, Seconds(30), minutes(5),
     "Replace the drive; `vnvme pools` shows the state and a rebuild's progress."},
    {Topic::pool_filling, "VNVME_POOL_NEARLY_FULL", 2, Seconds(0), minutes(10),
     "At 100 % its guests get I/O errors: delete volumes or snapshots; `vnvme volumes` shows what they "
     "use."},
    {Topic::volumes_missing, "VNVME_VOLUMES_MISSING", 1, Seconds(60), minutes(5),
     "They stay listed and nothing is forgotten; run `vnvme doctor`."},
    {Topic::foreign_volumes, "VNVME_FOREIGN_VOLUMES", 3, Seconds(60), minutes(5),
     "They are left alone and take up space; `vnvme pools` names the pool."},
    {Topic::leftover, "VNVME_LEFTOVER", 5, Seconds(0), hours(1), "`vnvme events` tells what was found."},
    {Topic::records_lost, "VNVME_RECORDS_LOST", 2, Seconds(60), minutes(5),
     "Restore the state file from its copy, or accept the loss: `vnvme adopt --help`."},
    {Topic::not_restored, "VNVME_DRIVE_NOT_RESTORED", 1, Seconds(0), hours(1),
     "`vnvme attachments` and `vnvme events` say more."},
    {Topic::list_fought, "VNVME_PCI_LIST_REWRITTEN", 3, Seconds(0), hours(1),
     "Find out which tool does it: see `vnvme events`."},
    {Topic::no_function, "VNVME_NO_FUNCTION", 3, Seconds(15), minutes(2),
     "`vnvme functions` shows who has them; `vnvme events` says why."},
    {Topic::userdevice_trap, "VNVME_USERDEVICE_TRAP", 3, Seconds(0), minutes(2),
     "Shut the VM down; vnvme then moves the VBD."},
    {Topic::still_in_use, "VNVME_DRIVE_STILL_IN_USE", 3, Seconds(60), minutes(2),
     "Unmount it in the guest; `vnvme attachments` shows it."},
};

constexpr EventRow kEvents[] = {
    {"something keeps rewriting other-config:pci", Topic::list_fought},
    {"belonged to nobody and was taken away", Topic::leftover},
    {"is reserved for nobody, but cannot be closed", Topic::leftover},
    {"was renamed by somebody else and is not deleted", Topic::leftover},
    {"is not exposed again", Topic::not_restored},
    {"could not be exposed again", Topic::not_restored},
};

struct Object {
  xapi::Class cls;
  std::string uuid;
};

template <class Record>
bool knows(const std::map<xapi::Ref, Record>& records, const std::string& uuid) {
  return std::any_of(records.begin(), records.end(), [&](const auto& r) {
    if constexpr (requires { r.second.uuid.value; })
      return r.second.uuid.value == uuid;
    else
      return r.second.uuid == uuid;
  });
}

Object object_of(const std::string& name, const xapi::Picture& picture, const xapi::Host& self) {
  std::string kind = name.substr(0, name.find(' '));
  std::string uuid = name.size() > kind.size() ? name.substr(kind.size() + 1) : std::string();
  if (kind == "SR" && knows(picture.srs, uuid)) return {xapi::Class::sr, uuid};
  if (kind == "VM" && knows(picture.vms, uuid)) return {xapi::Class::vm, uuid};
  if (kind == "volume" && knows(picture.vdis, uuid)) return {xapi::Class::vdi, uuid};
  return {xapi::Class::host, self.uuid};
}

// "told trying tries"
std::optional<std::vector<int>> numbers(const std::string& text) {
  std::vector<int> out;
  for (const std::string& word : split(text, ' ')) {
    int value = 0;
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || value < 0) return std::nullopt;
    out.push_back(value);
  }
  if (out.size() != 3) return std::nullopt;
  return out;
}

}  // namespace

std::span<const TopicRow> topics() {
  return kTopics;
}

const TopicRow* row_of(Topic topic) {
  const auto* at = std::find_if(std::begin(kTopics), std::end(kTopics),
                                [&](const TopicRow& r) { return r.topic == topic; });
  return at == std::end(kTopics) ? nullptr : at;
}

std::span<const EventRow> event_topics() {
  return kEvents;
}

Topic topic_of(std::string_view event) {
  for (const EventRow& row : kEvents)
    if (event.find(row.words) != std::string_view::npos) return row.topic;
  return Topic::none;
}

std::optional<xapi::Message> message_of(const Notice& notice, const xapi::Picture& picture,
                                        const xapi::Host* self) {
  const TopicRow* row = row_of(notice.topic);
  if (row == nullptr || self == nullptr) return std::nullopt;
  Object object = object_of(notice.object, picture, *self);
  return xapi::Message{row->name, row->priority, object.cls, std::move(object.uuid),
                       printable(notice.text, 1000) + ". " + row->help};
}

int fill_rank(double percent, int before) {
  for (int level : {95, 90, 80})
    if (percent >= level || (before >= level && percent > level - kHysteresis)) return level;
  return 0;
}

void Notices::raise(Notice notice, Seconds now) {
  if (row_of(notice.topic) == nullptr || notice.rank <= 0 || notice.text.empty()) return;
  Key key{notice.topic, notice.object};
  auto at = entries_.find(key);
  if (at == entries_.end()) {
    if (entries_.size() >= kMost) return;
    at = entries_.emplace(std::move(key), Entry{}).first;
  }
  Entry& entry = at->second;
  if (entry.text.empty()) entry.first = now;
  entry.text = std::move(notice.text);
  entry.rank = notice.rank;
  entry.last = now;
  // It became better: should it become worse again, that is news.
  entry.told = std::min(entry.told, entry.rank);
  if (entry.trying > entry.rank) entry.trying = 0, entry.tries = 0;
}

void Notices::keep(Topic topic, const std::string& object, Seconds now) {
  auto at = entries_.find({topic, object});
  if (at != entries_.end()) at->second.last = now;
}

int Notices::rank(Topic topic, const std::string& object) const {
  auto at = entries_.find({topic, object});
  if (at == entries_.end()) return 0;
  return std::max(at->second.rank, at->second.told);
}

void Notices::refill(Seconds now) {
  if (!filled_) filled_ = now;
  auto more = (now - *filled_) / kRefill;
  if (more <= 0) return;
  left_ = more > kBurst ? kBurst : std::min(kBurst, left_ + static_cast<unsigned>(more));
  filled_ = now;
}

std::optional<Notices::Key> Notices::due(Seconds now) {
  refill(now);
  if (left_ == 0) return std::nullopt;
  const Key* best = nullptr;
  const TopicRow* best_row = nullptr;
  for (const auto& [key, entry] : entries_) {
    const TopicRow* row = row_of(key.first);
    bool once = row->hold == Seconds(0);  // an event need not be seen twice
    bool stands = once || (now - entry.first >= row->hold && now - entry.last <= kStands);
    if (entry.text.empty() || entry.rank <= entry.told || !stands || now < entry.next) continue;
    if (best != nullptr && best_row->priority <= row->priority) continue;
    best = &key;
    best_row = row;
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

std::optional<Notice> Notices::begin(const Key& key) {
  auto at = entries_.find(key);
  if (at == entries_.end() || at->second.rank <= at->second.told) return std::nullopt;
  Entry& entry = at->second;
  if (entry.trying != entry.rank) entry.tries = 0;
  if (entry.tries >= kTries) {
    // The former daemon died over it, or the answer was lost, often enough: people know by now.
    entry.told = entry.rank;
    entry.trying = 0;
    entry.tries = 0;
    return std::nullopt;
  }
  entry.trying = entry.rank;
  ++entry.tries;
  return Notice{key.first, key.second, entry.text, entry.rank};
}

void Notices::settle(const Key& key, Came came, Seconds now) {
  auto at = entries_.find(key);
  if (at == entries_.end()) return;
  Entry& entry = at->second;
  if (came != Came::refused && left_ > 0) --left_;
  if (came == Came::refused) {
    if (entry.tries > 0) --entry.tries;
    if (entry.tries == 0) entry.trying = 0;
    entry.next = now + std::min(kLongest, kRefused * (1 << std::min(entry.refusals, 6u)));
    ++entry.refusals;
    return;
  }
  entry.refusals = 0;
  if (came == Came::unknown && entry.tries < kTries) {
    entry.next = now + kDoubt;
    return;
  }
  entry.told = std::min(entry.trying, entry.rank);
  entry.trying = 0;
  entry.tries = 0;
}

void Notices::expire(Seconds now) {
  std::erase_if(entries_, [now](const auto& e) { return now - e.second.last > row_of(e.first.first)->calm; });
}

std::string Notices::note_key(const Key& key) {
  return std::string(kPrefix) + row_of(key.first)->name + "." + key.second;
}

std::string Notices::note_value(const Entry& entry) {
  if (entry.told == 0 && entry.trying == 0) return {};
  return std::to_string(entry.told) + " " + std::to_string(entry.trying) + " " + std::to_string(entry.tries);
}

std::vector<std::pair<std::string, std::string>> Notices::unsaved() const {
  std::vector<std::pair<std::string, std::string>> out;
  std::map<std::string, std::string> wanted;
  for (const auto& [key, entry] : entries_)
    if (auto value = note_value(entry); !value.empty()) wanted[note_key(key)] = std::move(value);
  for (const auto& [note, value] : wanted) {
    auto at = stored_.find(note);
    if (at == stored_.end() || at->second != value) out.emplace_back(note, value);
  }
  for (const auto& [note, value] : stored_)
    if (!wanted.contains(note)) out.emplace_back(note, "");
  return out;
}

void Notices::saved(const std::string& note, const std::string& value) {
  if (value.empty())
    stored_.erase(note);
  else
    stored_[note] = value;
}

void Notices::restore(const std::map<std::string, std::string>& notes, Seconds now) {
  for (const auto& [note, value] : notes) {
    if (!note.starts_with(kPrefix)) continue;
    stored_[note] = value;  // what is not taken over below is erased with the next commit
    std::string rest = note.substr(kPrefix.size());
    auto dot = rest.find('.');
    const std::string name = rest.substr(0, dot);
    const auto* row = std::find_if(std::begin(kTopics), std::end(kTopics),
                                   [&](const TopicRow& r) { return r.name == name; });
    auto read = numbers(value);
    if (dot == std::string::npos || row == std::end(kTopics) || !read || entries_.size() >= kMost) continue;
    Entry& entry = entries_[{row->topic, rest.substr(dot + 1)}];
    entry.told = (*read)[0];
    entry.trying = (*read)[1];
    entry.tries = static_cast<unsigned>((*read)[2]);
    entry.last = entry.first = now;
  }
}

}  // namespace vnvme::model

// What becomes a message in XAPI (message.create), and when: once for each
// occurrence, however often it is seen, over restarts of the daemon too, and
// never more than a few an hour. Pure: time comes as a number of seconds.
//
// An occurrence stands as long as somebody goes on raising it; what is not
// raised for its time of calm is over, and the next one is news again. The
// store's notes hold what was told; `Entry` says what may be lost.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vnvme/xapi.hpp"

namespace vnvme::model {

enum class Topic : std::uint8_t {
  none,  // for the log and `vnvme events` only
  dpu_lost,
  pool_missing,
  pool_degraded,
  pool_filling,
  volumes_missing,
  foreign_volumes,
  leftover,
  records_lost,
  not_restored,
  list_fought,
  no_function,
  userdevice_trap,
  still_in_use,
};

using Seconds = std::chrono::seconds;  // on the monotonic clock, since whenever

// The one table of what people are told in XAPI.
struct TopicRow {
  Topic topic;
  const char* name;       // of the message, in XAPI
  std::int64_t priority;  // 1 data is at risk, 2 service is, 3 look at it some time, 5 for information
  Seconds hold;           // so long it must stand before it is told
  Seconds calm;           // so long nobody must have seen it before it is over
  const char* help;       // what to do: the last sentence
};
std::span<const TopicRow> topics();
const TopicRow* row_of(Topic topic);

// Events of the daemon (Core::event) that are messages too, known by their words; `none` for all others.
struct EventRow {
  std::string_view words;
  Topic topic;
};
std::span<const EventRow> event_topics();
Topic topic_of(std::string_view event);

struct Notice {
  Topic topic = Topic::none;
  std::string
      object;        // as in events: "SR <uuid>", "VM <uuid>", "volume <uuid>", "dpu <uri>", "function <id>"
  std::string text;  // one sentence
  int rank = 1;      // a higher one is news: 80, 90, 95 % full
};

// About that object; about this host when XAPI does not know it, or has no messages about such a thing.
// Nothing while XAPI does not show which host is ours.
std::optional<xapi::Message> message_of(const Notice& notice, const xapi::Picture& picture,
                                        const xapi::Host* self);

// How full, as a rank, with hysteresis: what was reached stays until 5 % below it.
int fill_rank(double percent, int before);

class Notices {
 public:
  using Key = std::pair<Topic, std::string>;  // topic, object
  static constexpr std::size_t kMost = 256;   // that stand at the same time
  static constexpr unsigned kTries = 2;   // whose answer was lost: at worst that many messages of one kind
  static constexpr unsigned kBurst = 10;  // messages at once, and as many an hour

  void raise(Notice notice, Seconds now);
  // Nobody can look at the moment: what stood there stands.
  void keep(Topic topic, const std::string& object, Seconds now);
  // 0: does not stand.
  [[nodiscard]] int rank(Topic topic, const std::string& object) const;

  // The most urgent one that is due; nothing too while the hour's number is used up.
  [[nodiscard]] std::optional<Key> due(Seconds now);
  // Before the effect: the note must be durable first. Nothing: not due any more.
  [[nodiscard]] std::optional<Notice> begin(const Key& key);
  enum class Came { told, refused, unknown };
  void settle(const Key& key, Came came, Seconds now);

  // Forgets what is over.
  void expire(Seconds now);

  // Notes that are not in the store as they should be: (key, value); an empty value is to be erased.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> unsaved() const;
  void saved(const std::string& note, const std::string& value);
  // After a start. Notes of others are ignored, and so is what cannot be read.
  void restore(const std::map<std::string, std::string>& notes, Seconds now);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string text;  // empty: not seen since the start
    int rank = 0;
    Seconds first{0}, last{0}, next{0};
    int told = 0;        // the rank that people know of
    int trying = 0;      // the rank that is being told; lost answers leave it here
    unsigned tries = 0;  // without an answer
    unsigned refusals = 0;
  };
  [[nodiscard]] static std::string note_key(const Key& key);
  [[nodiscard]] static std::string note_value(const Entry& entry);
  void refill(Seconds now);

  std::map<Key, Entry> entries_;
  std::map<std::string, std::string> stored_;
  unsigned left_ = kBurst;
  std::optional<Seconds> filled_;
};

}  // namespace vnvme::model

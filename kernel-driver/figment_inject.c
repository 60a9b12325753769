// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Misbehaviour of the device on purpose, from inside: the debugfs file "inject". Written with a
 * rule as text, or with "clear"; reads as a line for each rule that is armed. What the rules mean
 * is the business of the device (docs/hardware.md, section 15): here they are taken apart, checked
 * word by word so that a mistake has a name, and written to its registers.
 *
 * The device tells how often a rule has struck, not what it says. So the driver remembers the texts
 * of the rules that it has armed; those of the host it does not know.
 */
#include <linux/debugfs.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "figment_device.h"
#include "figment_inject.h"
#include "figment_inject_rule.h"

/* Longer than any rule: every word once, with the longest number. */
#define FIGMENT_INJECT_TEXT	320

/** struct figment_inject - What the driver knows of the rules. */
struct figment_inject {
	/** @lock: Guards @known and the INJECT registers. */
	struct mutex lock;
	/** @known: By the number of the rule. */
	struct {
		/** @known.text: As it was written; empty: not armed by us. */
		char text[FIGMENT_INJECT_TEXT];
		/** @known.strikes: When it was last looked at. */
		u64 strikes;
	} known[FIGMENT_INJECT_RULES_MAX];
};

/** struct figment_inject_rule - A rule, as the registers have it. */
struct figment_inject_rule {
	u32 kind;
	u32 when;
	u64 number;
	u64 after;
	u64 value;
	u32 queue;
	u32 engine;
	u32 vector;
	u32 event;
	u64 first;
	u64 last;
	/** @given: Words that were there, as bits. */
	u32 given;
};

/* --- from text to a rule --------------------------------------------------- */

enum figment_inject_word {
	FIGMENT_WORD_ONCE,
	FIGMENT_WORD_EVERY,
	FIGMENT_WORD_CHANCE,
	FIGMENT_WORD_AFTER,
	FIGMENT_WORD_VALUE,
	FIGMENT_WORD_QUEUE,
	FIGMENT_WORD_ENGINE,
	FIGMENT_WORD_VECTOR,
	FIGMENT_WORD_EVENT,
	FIGMENT_WORD_ADDRESS,
	FIGMENT_WORDS
};

static const char *const figment_inject_words[FIGMENT_WORDS] = {
	[FIGMENT_WORD_ONCE] = "once",
	[FIGMENT_WORD_EVERY] = "every",
	[FIGMENT_WORD_CHANCE] = "chance",
	[FIGMENT_WORD_AFTER] = "after",
	[FIGMENT_WORD_VALUE] = "value",
	[FIGMENT_WORD_QUEUE] = "queue",
	[FIGMENT_WORD_ENGINE] = "engine",
	[FIGMENT_WORD_VECTOR] = "vector",
	[FIGMENT_WORD_EVENT] = "event",
	[FIGMENT_WORD_ADDRESS] = "address",
};

/* Any of these, but only one of them. */
#define FIGMENT_WORDS_WHEN \
	(BIT(FIGMENT_WORD_ONCE) | BIT(FIGMENT_WORD_EVERY) | BIT(FIGMENT_WORD_CHANCE))

static const u32 figment_inject_aims[FIGMENT_WORDS] = {
	[FIGMENT_WORD_QUEUE] = FIGMENT_AIM_QUEUE,
	[FIGMENT_WORD_ENGINE] = FIGMENT_AIM_ENGINE,
	[FIGMENT_WORD_VECTOR] = FIGMENT_AIM_VECTOR,
	[FIGMENT_WORD_EVENT] = FIGMENT_AIM_EVENT,
	[FIGMENT_WORD_ADDRESS] = FIGMENT_AIM_ADDRESS,
};

/* Decimal, or hexadecimal with 0x: kstrtou64() also takes a sign and a line break. */
static bool figment_inject_number(const char *text, u64 *number)
{
	bool hex = str_has_prefix(text, "0x");
	const char *digits = hex ? text + 2 : text;

	return !digits[strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789")] &&
	       !kstrtou64(digits, hex ? 16 : 10, number);
}

/* FIRST[-LAST]. */
static bool figment_inject_range(char *text, struct figment_inject_rule *rule)
{
	char *first = strsep(&text, "-");

	return figment_inject_number(first, &rule->first) &&
	       figment_inject_number(text ?: first, &rule->last) && rule->first <= rule->last;
}

static bool figment_inject_event(const char *name, struct figment_inject_rule *rule)
{
	/* A completion is reported by one type only. */
	size_t events = rule->kind == FIGMENT_INJECT_COMPLETION_CORRUPT ? FIGMENT_EVENT_FENCE :
									 FIGMENT_INJECT_EVENTS;
	int event = match_string(figment_inject_events, events, name);

	rule->event = event + 1;
	return event >= 0;
}

/* The value of a word that has one; whether it may be that. */
static bool figment_inject_set(struct figment_device *fdev, struct figment_inject_rule *rule,
			       enum figment_inject_word word, char *text)
{
	const struct figment_inject_kind *kind = &figment_inject_kinds[rule->kind - 1];
	u64 number;

	if (word == FIGMENT_WORD_EVENT)
		return figment_inject_event(text, rule);
	if (word == FIGMENT_WORD_ADDRESS)
		return figment_inject_range(text, rule);
	if (!figment_inject_number(text, &number))
		return false;

	switch (word) {
	case FIGMENT_WORD_EVERY:
		rule->when = FIGMENT_INJECT_EVERY;
		rule->number = number;
		return number;
	case FIGMENT_WORD_CHANCE:
		rule->when = FIGMENT_INJECT_CHANCE;
		rule->number = number;
		return number && number <= FIGMENT_INJECT_CHANCE_MAX;
	case FIGMENT_WORD_AFTER:
		rule->after = number;
		return true;
	case FIGMENT_WORD_VALUE:
		rule->value = number;
		return number >= kind->value_min && number <= kind->value_max;
	case FIGMENT_WORD_QUEUE:
		rule->queue = number;
		return number < fdev->info.queues;
	case FIGMENT_WORD_ENGINE:
		rule->engine = number;
		return number < fdev->info.engines;
	case FIGMENT_WORD_VECTOR:
		rule->vector = number;
		return number < FIGMENT_VECTORS;
	default:
		return false;
	}
}

/* NAME or NAME=VALUE; taken apart on the way. */
static int figment_inject_take(struct figment_device *fdev, struct figment_inject_rule *rule,
			       char *value)
{
	const struct figment_inject_kind *kind = &figment_inject_kinds[rule->kind - 1];
	const char *name = strsep(&value, "=");
	int word = match_string(figment_inject_words, FIGMENT_WORDS, name);
	u32 same;

	if (word < 0) {
		drm_dbg_driver(&fdev->drm, "inject: there is no word '%s'\n", name);
		return -EINVAL;
	}
	same = BIT(word) & FIGMENT_WORDS_WHEN ? FIGMENT_WORDS_WHEN : BIT(word);
	if (rule->given & same) {
		drm_dbg_driver(&fdev->drm, "inject: '%s' is one too many\n", name);
		return -EINVAL;
	}
	rule->given |= BIT(word);

	if (figment_inject_aims[word] & ~kind->aims) {
		drm_dbg_driver(&fdev->drm, "inject: '%s' can not be aimed by '%s'\n", kind->name,
			       name);
		return -EINVAL;
	}
	if (word == FIGMENT_WORD_ONCE) {
		if (!value)
			return 0;
		drm_dbg_driver(&fdev->drm, "inject: '%s' takes no value\n", name);
		return -EINVAL;
	}
	if (!value || !figment_inject_set(fdev, rule, word, value)) {
		drm_dbg_driver(&fdev->drm, "inject: '%s' can not be that\n", name);
		return -EINVAL;
	}
	return 0;
}

static int figment_inject_parse(struct figment_device *fdev, struct figment_inject_rule *rule,
				char *text)
{
	const struct figment_inject_kind *kind;
	char *word = strsep(&text, ",");
	size_t i;

	*rule = (struct figment_inject_rule) {
		.when = FIGMENT_INJECT_ONCE,
		.queue = FIGMENT_INJECT_ANY,
		.engine = FIGMENT_INJECT_ANY,
		.vector = FIGMENT_INJECT_ANY,
		.event = FIGMENT_INJECT_ANY,
		.last = U64_MAX,
	};
	for (i = 0; i < FIGMENT_INJECT_KINDS; i++)
		if (!strcmp(word, figment_inject_kinds[i].name))
			rule->kind = i + 1;
	if (!rule->kind) {
		drm_dbg_driver(&fdev->drm, "inject: there is no kind '%s'\n", word);
		return -EINVAL;
	}

	while ((word = strsep(&text, ","))) {
		int ret = figment_inject_take(fdev, rule, word);

		if (ret)
			return ret;
	}

	kind = &figment_inject_kinds[rule->kind - 1];
	if (kind->value_min && !(rule->given & BIT(FIGMENT_WORD_VALUE))) {
		drm_dbg_driver(&fdev->drm, "inject: '%s' needs a 'value'\n", kind->name);
		return -EINVAL;
	}
	return 0;
}

/* --- registers ------------------------------------------------------------- */

static int figment_inject_arm(struct figment_device *fdev, const struct figment_inject_rule *rule,
			      const char *text)
{
	u32 armed = figment_read32(fdev, FIGMENT_REG_INJECT_RULES);

	lockdep_assert_held(&fdev->inject->lock);

	/* All ones: it has been removed. */
	if (armed == U32_MAX)
		return -ENODEV;
	if (armed >= FIGMENT_INJECT_RULES_MAX)
		return -ENOSPC;

	figment_write32(fdev, FIGMENT_REG_INJECT_KIND, rule->kind);
	figment_write32(fdev, FIGMENT_REG_INJECT_WHEN, rule->when);
	figment_write64(fdev, FIGMENT_REG_INJECT_NUMBER, rule->number);
	figment_write64(fdev, FIGMENT_REG_INJECT_AFTER, rule->after);
	figment_write64(fdev, FIGMENT_REG_INJECT_VALUE, rule->value);
	figment_write32(fdev, FIGMENT_REG_INJECT_QUEUE, rule->queue);
	figment_write32(fdev, FIGMENT_REG_INJECT_ENGINE, rule->engine);
	figment_write32(fdev, FIGMENT_REG_INJECT_VECTOR, rule->vector);
	figment_write32(fdev, FIGMENT_REG_INJECT_EVENT, rule->event);
	figment_write64(fdev, FIGMENT_REG_INJECT_FIRST, rule->first);
	figment_write64(fdev, FIGMENT_REG_INJECT_LAST, rule->last);
	figment_write32(fdev, FIGMENT_REG_INJECT_COMMAND, FIGMENT_INJECT_ARM);

	/* All ones here, too, is a rule that has removed the device already. */
	if (figment_read32(fdev, FIGMENT_REG_INJECT_RULES) == armed) {
		drm_dbg_driver(&fdev->drm, "inject: the device refuses '%s'\n", text);
		return -EINVAL;
	}
	strscpy(fdev->inject->known[armed].text, text);
	fdev->inject->known[armed].strikes = 0;
	return 0;
}

static int figment_inject_clear(struct figment_device *fdev)
{
	lockdep_assert_held(&fdev->inject->lock);

	figment_write32(fdev, FIGMENT_REG_INJECT_COMMAND, FIGMENT_INJECT_CLEAR);
	if (figment_read32(fdev, FIGMENT_REG_INJECT_RULES) == U32_MAX)
		return -ENODEV;
	memset(fdev->inject->known, 0, sizeof(fdev->inject->known));
	return 0;
}

static int figment_inject_list(struct figment_device *fdev, struct seq_file *m)
{
	struct figment_inject *inject = fdev->inject;
	u32 armed = figment_read32(fdev, FIGMENT_REG_INJECT_RULES);
	u32 i;

	lockdep_assert_held(&inject->lock);

	if (armed == U32_MAX)
		return -ENODEV;
	for (i = 0; i < FIGMENT_INJECT_RULES_MAX; i++) {
		u64 strikes = 0;

		if (i < armed) {
			figment_write32(fdev, FIGMENT_REG_INJECT_SELECT, i);
			strikes = figment_read64(fdev, FIGMENT_REG_INJECT_STRIKES);
		}
		/* The host may have cleared our rules, and armed others. */
		if (i >= armed || strikes < inject->known[i].strikes)
			inject->known[i].text[0] = '\0';
		inject->known[i].strikes = strikes;
		if (i < armed)
			seq_printf(m, "%u: %s: struck %llu\n", i,
				   inject->known[i].text[0] ? inject->known[i].text :
							      "(armed by the host)",
				   strikes);
	}
	return 0;
}

/* --- the file -------------------------------------------------------------- */

static int figment_inject_show(struct seq_file *m, void *data)
{
	struct figment_device *fdev = m->private;
	int idx, ret;

	if (!drm_dev_enter(&fdev->drm, &idx))
		return -ENODEV;
	scoped_guard(mutex, &fdev->inject->lock)
		ret = figment_inject_list(fdev, m);
	drm_dev_exit(idx);
	return ret;
}

static int figment_inject_command(struct figment_device *fdev, const char *text)
{
	char *words __free(kfree) = kstrdup(text, GFP_KERNEL);
	struct figment_inject_rule rule;
	int ret;

	if (!words)
		return -ENOMEM;
	if (!strcmp(text, "clear")) {
		guard(mutex)(&fdev->inject->lock);
		return figment_inject_clear(fdev);
	}

	ret = figment_inject_parse(fdev, &rule, words);
	if (ret)
		return ret;
	guard(mutex)(&fdev->inject->lock);
	return figment_inject_arm(fdev, &rule, text);
}

static ssize_t figment_inject_write(struct file *file, const char __user *from, size_t bytes,
				    loff_t *pos)
{
	struct seq_file *m = file->private_data;
	struct figment_device *fdev = m->private;
	int idx, ret;

	if (bytes >= FIGMENT_INJECT_TEXT)
		return -EINVAL;
	char *text __free(kfree) = memdup_user_nul(from, bytes);
	if (IS_ERR(text))
		return PTR_ERR(text);
	/* What echo adds. */
	if (bytes && text[bytes - 1] == '\n')
		text[bytes - 1] = '\0';

	if (!drm_dev_enter(&fdev->drm, &idx))
		return -ENODEV;
	ret = figment_inject_command(fdev, text);
	drm_dev_exit(idx);
	return ret ?: bytes;
}

DEFINE_SHOW_STORE_ATTRIBUTE(figment_inject);

/**
 * figment_inject_init() - Add the file, if the guest may make the device misbehave.
 * @fdev: the device, not registered yet; the file goes away with it
 */
void figment_inject_init(struct figment_device *fdev)
{
	struct drm_device *drm = &fdev->drm;

	if (!(fdev->info.features & FIGMENT_FEATURE_INJECT))
		return;
	fdev->inject = drmm_kzalloc(drm, sizeof(*fdev->inject), GFP_KERNEL);
	if (!fdev->inject || drmm_mutex_init(drm, &fdev->inject->lock))
		/* As with every file of debugfs: then there is none. */
		return;
	debugfs_create_file("inject", 0600, drm->debugfs_root, fdev, &figment_inject_fops);
}

// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Positive controls of the judge: provokes, on purpose, one report of each class
 * that a kernel can make. Loading it with report=NAME does it once and then
 * fails with -ECANCELED, so that there is nothing to unload; report=none does
 * nothing at all. Never part of an image: the tests load it from the checkout.
 *
 * Each mistake is contained: what it breaks is its own. Lockdep turns itself off
 * with its first report, and an oops ends the machine, so their order is that of
 * the tests.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

static char *report = "none";
module_param(report, charp, 0);
MODULE_PARM_DESC(report, "Which report to provoke (default: none)");

static void control_warning(void)
{
	WARN(1, "on purpose\n");
}

/* The order of two locks, both ways, in one thread: nothing can hang. */
static void control_lockdep(void)
{
	static DEFINE_MUTEX(first);
	static DEFINE_MUTEX(second);

	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void control_kasan(void)
{
	u32 *word = kzalloc(sizeof(*word), GFP_KERNEL);

	kfree(word);
	/* Hidden from the compiler, which would say so itself. */
	OPTIMIZER_HIDE_VAR(word);
	READ_ONCE(*word);
}

static void control_ubsan(void)
{
	static struct {
		u32 words[4];
		u32 behind;
	} place;
	int index = ARRAY_SIZE(place.words);

	OPTIMIZER_HIDE_VAR(index);
	place.words[index] = 1;
}

static void control_dma(void)
{
	struct platform_device *device;

	device = platform_device_register_simple("figment-control", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(device))
		return;
	if (!dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64)))
		/* Never mapped. */
		dma_unmap_page(&device->dev, 0x1000, PAGE_SIZE, DMA_BIDIRECTIONAL);
	platform_device_unregister(device);
}

static void control_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(1);
	bool last;

	last = refcount_dec_and_test(&count);
	last |= refcount_dec_and_test(&count);
	if (!last)
		pr_info("figment_control: neither was the last\n");
}

static void control_list(void)
{
	struct list_head first, second;
	LIST_HEAD(head);

	list_add(&first, &head);
	first.prev = &second;
	/* Refused, when somebody looks. */
	list_add(&second, &head);
}

static void control_timer_expired(struct timer_list *timer)
{
}

static void control_debug_object(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, control_timer_expired, 0);
	timer->expires = jiffies + 1000 * HZ;
	add_timer(timer);
	/* Still running: the check stops it before it is free. */
	kfree(timer);
}

static void control_atomic_sleep(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	might_sleep();
	spin_unlock(&lock);
}

static void control_bad_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return;
	page->mapping = (struct address_space *)PAGE_SIZE;
	/* Taken out of use by whoever notices. */
	__free_page(page);
}

static void control_hung_task(void)
{
	/* The test has made the limit a second. */
	schedule_timeout_uninterruptible(6 * HZ);
}

static void control_stall(void)
{
	unsigned long end;

	/*
	 * The test has made the limit three seconds, for grace periods that begin
	 * now; lockdep's checks add five.
	 */
	synchronize_rcu();
	start_poll_synchronize_rcu();
	end = jiffies + 15 * HZ;
	preempt_disable();
	while (time_before(jiffies, end))
		cpu_relax();
	preempt_enable();
}

static void control_kmemleak(void)
{
	unsigned int i;

	/*
	 * Many: the allocator's own lists still have the addresses of the last
	 * ones that they gave away.
	 */
	for (i = 0; i < 1000; i++) {
		void *lost = kzalloc(128, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(lost);
	}
}

static void control_oops(void)
{
	u32 *nowhere = (u32 *)8;

	OPTIMIZER_HIDE_VAR(nowhere);
	*nowhere = 1;
}

static void control_none(void)
{
}

static const struct {
	const char *name;
	void (*provoke)(void);
} controls[] = {
	{ "none", control_none },
	{ "warning", control_warning },
	{ "lockdep", control_lockdep },
	{ "kasan", control_kasan },
	{ "ubsan", control_ubsan },
	{ "dma", control_dma },
	{ "refcount", control_refcount },
	{ "list", control_list },
	{ "debug-object", control_debug_object },
	{ "atomic-sleep", control_atomic_sleep },
	{ "bad-page", control_bad_page },
	{ "hung-task", control_hung_task },
	{ "stall", control_stall },
	{ "kmemleak", control_kmemleak },
	{ "oops", control_oops },
};

static int __init control_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		if (strcmp(controls[i].name, report))
			continue;
		controls[i].provoke();
		return -ECANCELED;
	}
	return -EINVAL;
}
module_init(control_init);

MODULE_DESCRIPTION("Provokes kernel reports on purpose, for the tests of Figment's judge");
MODULE_AUTHOR("The Figment authors");
MODULE_LICENSE("Dual MIT/GPL");
